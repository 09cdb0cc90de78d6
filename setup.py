"""The one thing that pyproject.toml cannot say: which cffi module to build."""

from setuptools import setup

setup(cffi_modules=["csrc/build_ffi.py:ffi"])
