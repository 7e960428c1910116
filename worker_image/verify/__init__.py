"""Proves or refutes a commit inside a unit: runs the project's own checks on it and reports what happened.

Started as ``python -m worker_image.verify --spec spec.json`` in an empty work
directory; ``$INPUT_DIR`` holds ``spec.json`` and ``change.bundle``. Leaves
``report.json`` (see `report`). It observes; the control plane judges. Standard
library only, and nothing outside this package, so that it starts in a tenth of
a second and can be carried to wherever the checks run.

What makes a report worth something:

- The base speaks first. Its environment is set up and its tests are listed
  before one line of the change has run; the list is in the driver's memory.
- Protected files, and files that the tools would prefer to them, come from the
  base: `checkout.verified_tree` is made before anything is run.
- Checks run before anything else of the change, so nothing but the
  installation of its dependencies can prepare them. Its tests are listed
  afterwards, and only if the check's own report (JUnit) has not told of every
  test of the base.
- After each command every process below the driver is killed, until the kernel
  says that there are no more (the driver is a subreaper). The report is
  written after the last one is dead, over whatever they put in its place.
- The driver cannot be traced or read (``PR_SET_DUMPABLE``), does not import
  from the work directory, and its source belongs to another uid. If it is
  killed its exit code says so, and then its report counts for nothing.
- Skipped and unreported tests make the base's checks run too, in a second
  clone with a home of its own: the change is asked for no more than the base.

What remains possible, because the code under test runs in the process of the
test runner and under the driver's uid:

- Code that sets out to can patch the runner, or write a forged test report and
  end the process with 0. So can a malicious dependency, even at installation.
- It can put things into the temporary directory that the comparing run of the
  base then uses; without containers also into the package cache of this unit.
- It can kill, stop or starve the driver, or fill its disk. That is "could not
  run", never a pass.
- As an ordinary user there is no isolation at all (see ``apps.units``): it
  could reach its own supervisor and every file of ours.
- A tree of processes that multiplies faster than it is killed holds the driver
  up until the unit's deadline, where the unit's supervisor has the same task.

Measured on a generated service with 23 tests, two cores, warm package cache:
4.7 s in all and 4.1 s of processor time. Clone 0.05, installation 0.45 (base) and
0.2 (change), listing the base's tests 2.6, of which 1.5 compile the packages
that everything after it imports, checks 1.4.
"""
