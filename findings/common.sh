# Sourced by the scripts of this folder.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# python_packages PACKAGE==VERSION...: a fresh virtual environment; then `run_python` runs a program in it.
python_packages() {
    command -v python3 >/dev/null || { echo "skipped: python3 is not installed"; exit 0; }
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"
}
run_python() { (cd "$work" && "$work/venv/bin/python" -W ignore - 2>"$work/stderr"); }

# The same for Node: packages of the npm registry, and a program that is an ES module.
node_packages() {
    command -v npm >/dev/null || { echo "skipped: node and npm are not installed"; exit 0; }
    (cd "$work" && npm init -y >/dev/null && npm install --silent --no-audit --no-fund "$@")
}
run_node() { (cd "$work" && cat >program.mjs && node program.mjs 2>"$work/stderr"); }

# seen EXPECTED: compares standard input with what was seen when the script was written.
seen() {
    cat >"$work/got"
    printf '%s\n' "$1" >"$work/expected"
    if diff -u "$work/expected" "$work/got"; then
        cat "$work/got"
        echo "as seen before"
    else
        tail -5 "$work/stderr" 2>/dev/null || true
        echo "the behaviour has changed: read the script's first lines, then what depends on it"
        exit 1
    fi
}
