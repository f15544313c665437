"""Stands in for torch and other large packages, of which readers of configurations only need the names.

Every attribute of such a package is a class that can be extended, called, indexed and used as a decorator. What one makes
is false, so checks for hardware say that there is none.
"""

import importlib.abc
import importlib.machinery
import importlib.metadata
import sys
import types
import typing


class AnythingType(type(typing.Protocol)):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return anything(name)

    def __getitem__(cls, key):
        return cls

    def __lt__(cls, other):
        return False

    __gt__ = __le__ = __ge__ = __lt__


def decorated(arguments):
    return arguments[0] if len(arguments) == 1 and callable(arguments[0]) else None


def anything(name):
    def new(cls, *arguments, **named):
        if "stands_in" in vars(cls) and decorated(arguments) and not named:
            return arguments[0]
        return object.__new__(cls)

    return AnythingType(
        name,
        (),
        {
            "stands_in": True,
            "__new__": new,
            "__init__": lambda self, *arguments, **named: None,
            "__call__": lambda self, *arguments, **named: decorated(arguments),
            "__bool__": lambda self: False,
            "__class_getitem__": classmethod(lambda cls, key: cls),
        },
    )


class Package(types.ModuleType):
    __path__ = []
    __version__ = "2.12.0"

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, anything(name))
        return getattr(self, name)


class StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, *names):
        self.names = names

    def find_spec(self, name, path, target=None):
        if any(name == of or name.startswith(of + ".") for of in self.names):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return Package(spec.name)

    def exec_module(self, module):
        pass


def stand_in_for(*names):
    version = importlib.metadata.version
    importlib.metadata.version = lambda name: Package.__version__ if name in names else version(name)
    sys.meta_path.insert(0, StandIn(*names))
