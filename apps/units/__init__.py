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
``cache``           the package cache as a unit may see it
``accounts``        which uid belongs to which account, when the control plane is root
``layout``          the files of a unit's directory, shared with the shim
``shim``, ``child``  the supervisor itself: standard library only, started as a script
==================  =====================================================================

This file imports nothing: the shim is on the path of every start.
"""
