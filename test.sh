#!/usr/bin/env bash
# Checks everything that this repository promises: ./test.sh (all), ./test.sh quick (leaves out the slow parts),
# ./test.sh servers (the connectors against real mail servers and vendors' own clients, which it downloads).
# Needs Rust and a C compiler. Tests against PostgreSQL start a throw-away cluster of their own; where the server's
# programs are missing they are installed (Debian, Ubuntu, as root) or the tests say that they were skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

mode=${1:-full}
case $mode in
full | quick | servers) ;;
-h | --help) sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
*) echo "test.sh: '$mode' is not a mode (full, quick, servers)" >&2; exit 2 ;;
esac

# A clean clone in CI compiles everything only once: the target directory outlives the clone.
if [ -n "${CI:-}" ] && [ -z "${CARGO_TARGET_DIR:-}" ]; then
    export CARGO_TARGET_DIR="${XDG_CACHE_HOME:-$HOME/.cache}/mkt/target"
fi
target=${CARGO_TARGET_DIR:-$PWD/target}
mkdir -p "$target"
crates="mkt-connect mkt-email mkt-social mkt-warehouse mkt-etl mkt-ml"
work=$(mktemp -d)
timings=$work/timings
: >"$timings"

# --- stages -----------------------------------------------------------------------------------------------------
current=""
stage() { # stage NAME COMMAND...: runs it and notes its time; the first failure ends everything
    local begin=$SECONDS
    current=$1
    shift
    printf '\n=== %s\n' "$current"
    # Not inside an `if`: bash would then go on after a command that fails in the middle of a stage.
    "$@"
    printf '%6d s  %s\n' "$((SECONDS - begin))" "$current" >>"$timings"
    current=""
}

# --- PostgreSQL -------------------------------------------------------------------------------------------------
pg_bin=""
pg_home=""
find_postgres() {
    local dir
    for dir in /usr/lib/postgresql/*/bin "$(pg_config --bindir 2>/dev/null || true)" \
        "$(dirname "$(command -v initdb || true)")"; do
        if [ -x "$dir/initdb" ] && [ -x "$dir/pg_ctl" ] && [ -x "$dir/postgres" ]; then pg_bin=$dir; fi
    done
    [ -n "$pg_bin" ]
}

as_server() { # runs a server program as someone who is not root: PostgreSQL refuses root
    if [ "$(id -u)" = 0 ]; then
        (cd / && runuser -u "$pg_user" -- "$@")
    else
        "$@"
    fi
}

start_postgres() {
    if ! find_postgres && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing the PostgreSQL server programs"
        DEBIAN_FRONTEND=noninteractive apt-get update -qq >"$work/apt.log" 2>&1 || true
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >>"$work/apt.log" 2>&1 || tail -5 "$work/apt.log"
        find_postgres || true
    fi
    if [ -z "$pg_bin" ]; then
        echo "skipped: PostgreSQL's server programs (initdb, pg_ctl, postgres) are not installed."
        echo "         Debian and Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server;"
        echo "         macOS: brew install postgresql@17. Tests that need them will say that they were skipped."
        [ -z "${CI:-}" ]
        return
    fi
    pg_user=$(id -un)
    pg_home=$target/postgres.$$
    if [ "$(id -u)" = 0 ]; then
        pg_user=postgres
        id "$pg_user" >/dev/null 2>&1 || pg_user=nobody
        mkdir -p "$pg_home"
        chown "$pg_user" "$pg_home"
        # A target directory below /root cannot be reached by another user.
        if ! as_server test -w "$pg_home"; then
            rm -rf "$pg_home"
            pg_home=$(mktemp -d)
            chown "$pg_user" "$pg_home"
        fi
    else
        mkdir -p "$pg_home"
    fi
    as_server "$pg_bin/initdb" -D "$pg_home/data" -U mkt -A trust -E UTF8 --locale=C >"$work/initdb.log" 2>&1 ||
        { cat "$work/initdb.log"; return 1; }
    local attempt port
    for attempt in 1 2 3 4 5; do
        port=$((20000 + (RANDOM + attempt) % 20000))
        if as_server "$pg_bin/pg_ctl" -D "$pg_home/data" -w -l "$pg_home/log" \
            -o "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -p $port" start >"$work/pg.log" 2>&1; then
            export MKT_TEST_POSTGRES="postgres://mkt@127.0.0.1:$port/postgres"
            echo "PostgreSQL $("$pg_bin/postgres" --version | grep -o '[0-9.]*' | head -1) on 127.0.0.1:$port"
            return 0
        fi
    done
    cat "$work/pg.log"
    return 1
}

finish() {
    local status=$?
    [ "$status" = 0 ] || [ -z "$current" ] || printf '\n=== %s FAILED\n' "$current"
    if [ -n "$pg_home" ] && [ -d "$pg_home" ]; then
        as_server "$pg_bin/pg_ctl" -D "$pg_home/data" -m immediate stop >/dev/null 2>&1 || true
        rm -rf "$pg_home"
    fi
    if [ -s "$timings" ]; then
        printf '\n=== time of each stage (%s, %s cores)\n' "$mode" "$(nproc 2>/dev/null || echo '?')"
        cat "$timings"
        printf '%6d s  in all\n' "$SECONDS"
    fi
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# --- what is checked --------------------------------------------------------------------------------------------
tests() {
    if command -v cargo-nextest >/dev/null; then
        cargo nextest run --locked --workspace --all-features --no-fail-fast
    else
        # The examples' tests run the built examples, which `cargo test` alone does not build.
        cargo build --locked --workspace --all-features --examples
        cargo test --locked --workspace --all-features --no-fail-fast --lib --bins --tests --examples
    fi
}

doctests() { cargo test --locked --workspace --all-features --doc; }

docs() { RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --all-features; }

features_of() { # features_of CRATE: the names of its features, without `default`
    sed -n '/^\[features\]/,/^\[/s/^\([a-z0-9_-]*\) = .*/\1/p' "$1/Cargo.toml" | grep -v '^default$' || true
}

each_feature() { # every crate compiles with no feature, with its default, and with each feature alone
    local crate feature
    for crate in $crates; do
        echo "$crate: none, default, $(features_of "$crate" | paste -sd' ')"
        cargo check --quiet --locked -p "$crate" --no-default-features
        cargo check --quiet --locked -p "$crate"
        for feature in $(features_of "$crate"); do
            cargo check --quiet --locked -p "$crate" --no-default-features --features "$feature"
        done
    done
}

reaches() { # reaches CRATE FLAGS DEPENDENCY: whether the dependency is in the crate's tree
    # shellcheck disable=SC2086
    cargo tree --locked --quiet -e normal --prefix none -p "$1" $2 | grep -E "^($3) v" >"$work/tree"
}

directions() { # the arrows of ARCHITECTURE.md, as absences
    local crate bad=0
    deny() {
        if reaches "$1" "$2" "$3"; then
            echo "$1 ${2:-(default features)} must not reach $3, but does: $(sort -u "$work/tree" | tr '\n' ' ')"
            bad=1
        fi
    }
    for crate in $crates; do
        deny "$crate" "" "datafusion|arrow|deltalake"
        deny "$crate" "--all-features" "mkt-examples|mkt-benches"
        deny "$crate" "--all-features" "openssl|openssl-sys|native-tls|aws-lc-sys"
    done
    deny mkt-email "" "axum|reqwest|rustls|mrml|css-inline|sqlx-postgres"
    deny mkt-warehouse "" "plotters|rustls|sqlx-postgres"
    deny mkt-ml "--all-features" "tokio|reqwest"
    deny mkt-connect "--all-features" "mkt-email|mkt-social|mkt-warehouse|mkt-etl|mkt-ml"
    deny mkt-connect "" "tokio|reqwest|plotters|csv|sqlx"
    deny mkt-connect "--features table,chart" "tokio|reqwest|sqlx"
    deny mkt-connect "--features sqlite" "sqlx-postgres|rustls|reqwest"
    deny mkt-connect "--features postgres" "sqlx-sqlite|libsqlite3-sys|reqwest"
    deny mkt-email "--all-features" "mkt-social|mkt-warehouse|mkt-etl|mkt-ml"
    deny mkt-social "--all-features" "mkt-email|mkt-warehouse|mkt-etl|mkt-ml"
    deny mkt-warehouse "--all-features" "mkt-email|mkt-social|mkt-etl|mkt-ml"
    deny mkt-etl "" "mkt-email|mkt-social|mkt-ml"
    # Whoever only reads files compiles no HTTP client.
    deny mkt-etl "--no-default-features" "reqwest|hyper"
    # Only one crate names the HTTP library.
    if grep -lE '^reqwest' mkt-*/Cargo.toml | grep -v '^mkt-connect/'; then
        echo "only mkt-connect may depend on reqwest"
        bad=1
    fi
    return $bad
}

outside() { # a stranger's project: one email, one report, one model, in the versions of our lock file
    local dir=$work/outside
    mkdir -p "$dir/src"
    cp Cargo.lock "$dir/Cargo.lock"
    cat >"$dir/Cargo.toml" <<TOML
[package]
name = "outside"
version = "0.0.0"
edition = "2024"

[dependencies]
mkt-email = { path = "$PWD/mkt-email" }
mkt-ml = { path = "$PWD/mkt-ml" }
mkt-warehouse = { path = "$PWD/mkt-warehouse" }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }

[workspace]

[profile.dev]
debug = "line-tables-only"

[profile.dev.package."*"]
debug = false
TOML
    cp examples/outside.rs "$dir/src/main.rs"
    cp examples/data/user_behavior.csv "$dir/"
    "$target/debug/examples/load_events" --warehouse "sqlite:$dir/shop.db" --zone Europe/Paris \
        --events examples/data/events.csv --sessions examples/data/sessions.csv
    (cd "$dir" && CARGO_TARGET_DIR=$target cargo run --quiet --offline) >"$dir/said"
    cat "$dir/said"
    [ "$(find "$dir/mails" -name '*.eml' | wc -l)" = 1 ] || { echo "the stranger's email is missing"; return 1; }
    grep -q '^email' "$dir/said" || { echo "the stranger's report is missing"; return 1; }
    grep -q 'accuracy' "$dir/said" || { echo "the stranger's model is missing"; return 1; }
}

packages() { # what crates.io would get: each crate holds its README, its licences and all that it includes
    cargo package --quiet --locked --offline --workspace --exclude mkt-examples --exclude mkt-benches \
        --no-verify --allow-dirty
    local crate file
    for crate in $crates; do
        # Into a file first: `grep -q` leaves at its first hit, and tar would then fail at the closed pipe.
        tar -tzf "$target/package/$crate-"*.crate >"$work/packaged"
        for file in README.md LICENSE-MIT LICENSE-APACHE src/lib.rs; do
            grep -q "/$file\$" "$work/packaged" || { echo "$crate lacks $file"; return 1; }
        done
        ls -l "$target/package/$crate-"*.crate | awk '{ print $5, "bytes", $9 }' | sed 's#[^ ]*/##'
    done
}

example() { # example NAME ARGUMENTS...: the newcomer's command
    local name=$1
    shift
    echo "--- $name $*" >&2
    cargo run --quiet --locked --release --example "$name" -- "$@"
}

examples() { # as the tests built them, with all features
    local name out=$work/examples
    "$target/debug/examples/make_sample_data" --users 50 --seed 7 --out "$out/world" --json | grep -q '"users"'
    for name in $(sed -n 's/^name = "\(.*\)"$/\1/p' examples/Cargo.toml | grep -v '^mkt-examples$'); do
        "$target/debug/examples/$name" --help >/dev/null
        # A reader that goes, and a full disk: neither is a panic.
        "$target/debug/examples/$name" --help | head -1 >/dev/null
    done
}

quickstart() {
    local out=$work/quickstart first second
    example quickstart --out "$out" --json >"$work/first.json"
    example quickstart --out "$out" --json >"$work/second.json"
    grep -q '"changed": *true' "$work/first.json" || { echo "the first run says that it changed nothing"; return 1; }
    grep -q '"changed": *false' "$work/second.json" || { echo "the second run says that it changed something"; return 1; }
    first=$(find "$out" -name '*.eml' | wc -l)
    [ "$first" -gt 0 ] || { echo "no mail was written"; return 1; }
    ! grep -qE '(src|href)="https?://' "$out/report.html" || { echo "report.html asks the network"; return 1; }
}

deny_check() {
    if command -v cargo-deny >/dev/null; then
        cargo deny --offline --all-features check bans licenses sources
        # The RustSec database is looked at where there is a copy: `cargo deny fetch` makes one.
        if [ -n "$(ls -A "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs" 2>/dev/null)" ]; then
            cargo deny --offline --all-features check advisories
        else
            echo "skipped: no copy of the RustSec database (cargo deny fetch)"
        fi
    else
        echo "skipped: cargo-deny is not installed"
    fi
}

servers() { # real servers and vendors' own clients, downloaded into a temporary folder, never installed
    MKT_TEST_SERVERS=1 cargo nextest run --locked --workspace --all-features --no-fail-fast -E 'test(servers)'
}

if [ "$mode" = servers ]; then
    stage "servers" servers
    exit
fi
stage "start PostgreSQL" start_postgres
stage "format" cargo fmt --all --check
# Benches and examples too: they are not compiled a second time for their own sake.
stage "clippy" cargo clippy --quiet --locked --workspace --all-targets --all-features -- -D warnings
stage "directions of dependencies" directions
stage "tests" tests
stage "doctests" doctests
if [ "$mode" = full ]; then
    stage "documentation" docs
    stage "each feature alone" each_feature
    stage "packages" packages
    stage "outside project" outside
    stage "examples" examples
    stage "quickstart, release, twice" quickstart
    stage "cargo-deny" deny_check
fi
