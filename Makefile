# Two commands do all the set-up: `make demo` and `make test`.  Everything lands in .venv and .venv-asan here, and in the
# download cache of the guest tests ($NICEMU_CACHE, ~/.cache/nicemu by default).
PYTHON ?= python3
VENV   := .venv
ASAN   := .venv-asan
BIN    := $(VENV)/bin
SOURCES := $(wildcard csrc/*.c csrc/*.h csrc/*.py) pyproject.toml setup.py
STRICT := -Werror
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -Werror

.PHONY: demo test build lint types unit package sanitize guests bench clean system

demo: build
	$(BIN)/python -m nicemu.selftest
	$(BIN)/python examples/live_card.py

# What CI runs, quickest first.
test: lint types unit package sanitize guests

build: $(VENV)/.built

system: ; @./conformance/system-packages base

$(VENV)/.built: $(SOURCES) | system
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	NICEMU_CFLAGS="$(STRICT)" $(BIN)/pip install --quiet --editable '.[test,cli]'
	touch $@

# A copy of the tree, so that its sanitized engine and the everyday one do not take each other's place.
$(ASAN)/.built: $(SOURCES) | system
	test -x $(ASAN)/bin/python || $(PYTHON) -m venv $(ASAN)
	rm -rf $(ASAN)/tree && mkdir $(ASAN)/tree
	git ls-files -z | xargs -0 cp --parents --target-directory $(ASAN)/tree
	NICEMU_CFLAGS="$(SANITIZE)" NICEMU_LDFLAGS="-fsanitize=address,undefined" \
	    $(ASAN)/bin/pip install --quiet --editable '$(ASAN)/tree[test]'
	touch $@

lint: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: build
	$(BIN)/mypy

unit: build
	$(BIN)/python -m pytest -n auto

# The sdist builds a wheel, the wheel (under 2 MB, abi3) installs into an empty venv, and there the self-test passes.
package: build
	rm -rf build/package && mkdir -p build/package
	$(BIN)/python -m build --quiet --outdir build/package .
	ls build/package/nicemu-*-cp310-abi3-*.whl
	test "$$(stat -c %s build/package/*.whl)" -lt 2000000
	$(PYTHON) -m venv build/package/venv
	build/package/venv/bin/pip install --quiet build/package/*.whl
	cd build/package && venv/bin/python -m nicemu.selftest

# The same tests and a time-boxed fuzz run on an engine with AddressSanitizer and UndefinedBehaviorSanitizer.
sanitize: $(ASAN)/.built
	$(ASAN)/tree/tests/sanitized $(CURDIR)/$(ASAN)/bin/python

# A file's tests share a guest, so files are what is spread over the processors; what measures runs by itself.
guests: build
	$(BIN)/python -m pytest conformance -m "not alone" -n auto --dist loadfile
	$(BIN)/python -m pytest conformance -m alone

bench: build
	$(BIN)/python -m pytest -o addopts= tests/test_benchmarks.py
	$(BIN)/python -m nicemu bench

clean:
	rm -rf $(VENV) $(ASAN) build dist *.egg-info nicemu/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
