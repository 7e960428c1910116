"""Units: supervised operating system processes that no process of ours is the parent of.

A unit is one command in a directory of its own, under a small detached
supervisor (the *shim*). Whoever started it may die; the unit goes on, its exit
code is kept, and any process of the control plane may adopt it by name.

==================  =====================================================================
``spec``            the request (``UnitSpec``), the observation (``UnitState``), the errors
``supervisor``      ``Units``: start or adopt, inspect, logs, fetch, ask to stop, remove
``watch``           ``ExitWatcher``: tells a callback once about every finished unit
``environment``     the clean environment a unit is given
``toolchain``       the directory of tools on a unit's PATH
``shared``          copies of programs that every uid can read, for closed checkouts
``cache``           the package cache as a unit may see it
``accounts``        which uid belongs to which account, when the control plane is root
``files``, ``reach``  reading what a unit wrote; whether a uid can get at a path
``turns``           whose turn it is at one unit, while others start or remove it
``processes``       what the kernel says about processes; ``leftovers`` kills strays by it
``layout``          the files of a unit's directory, shared with the shim
``shim``, ``child``  the supervisor itself: standard library only, started as a script
==================  =====================================================================

As root every account has a uid of its own: units can read neither each other's
files nor the control plane's secrets. As an ordinary user there is **no
isolation**: a unit is we, and can do what we can.

Measured on two cores: the command runs 46 ms (median) after ``start`` is
called, half of which is the shim's interpreter; a look at 500 units takes the
watcher 1.3 ms.

This file imports nothing: the shim is on the path of every start.
"""
