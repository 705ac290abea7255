#!/usr/bin/env python3
"""Mails per second to Postfix's smtp-sink, with the peers in one run:

    python3 benches/compare/email/smtp.py [--repetitions 3] [--json FILE]

Who sends: mkt-email's Smtp (which builds each mail), lettre's pooled transport, Python's smtplib and nodemailer's pool
(which are handed the bytes of a mail built before). On 1 and on 16 connections, the same mails to the same server, the
senders one after the other in every repetition. Times are those of the sender, from the first connection to the last
answer; CPU is the sender's process alone, its start included.

Needs cargo and smtp-sink (Debian: postfix); npm for nodemailer, which it installs into the target directory. A peer
that is not there is named and left out. Takes less than three minutes.
"""
import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
SENDER = TARGET / "release" / "smtp_send"

# (connections, mails, who): the same count for everybody, as few as the slowest sender gets done in ten seconds; then
# more for those who are done with that at once.
CELLS = [
    (1, 150, ["ours", "lettre", "smtplib", "nodemailer"]),
    (16, 1_600, ["ours", "lettre", "smtplib", "nodemailer"]),
    (1, 5_000, ["ours", "smtplib", "nodemailer"]),
    (16, 20_000, ["ours", "smtplib", "nodemailer"]),
]


def sink(directory):
    """Starts smtp-sink; returns the process and its port."""
    program = shutil.which("smtp-sink") or "/usr/sbin/smtp-sink"
    if not os.path.exists(program):
        sys.exit("smtp-sink is not installed (Debian, Ubuntu: apt-get install postfix)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    process = subprocess.Popen([program, *user, f"127.0.0.1:{port}", "200"], cwd=directory)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process, port
        except OSError:
            time.sleep(0.05)
    sys.exit("smtp-sink does not listen")


def node_modules():
    """Where nodemailer is, or nothing."""
    if not shutil.which("node") or not shutil.which("npm"):
        return None
    home = TARGET / "smtp-peers"
    if not (home / "node_modules" / "nodemailer").exists():
        home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["npm", "install", "--silent", "--prefix", str(home), "nodemailer"], check=False)
        if done.returncode != 0:
            return None
    return home / "node_modules"


def measure(command, environment):
    """Runs a sender; returns its own seconds and the CPU seconds of its process."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed")
    return json.loads(output)["seconds"], usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--text-bytes", type=int, default=500, help="size of the text; the mail has 300 bytes more")
    parser.add_argument("--no-build", action="store_true", help="the binary is there")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here too")
    options = parser.parse_args()
    if not options.no_build:
        build = ["cargo", "build", "--release", "--locked", "-p", "mkt-benches", "--features", "email", "--bin", "smtp_send"]
        subprocess.run(build, cwd=ROOT, check=True)
    modules = node_modules()
    if modules is None:
        print("skipped: nodemailer (node and npm are needed)")
    environment = {**os.environ, "NODE_PATH": str(modules)}
    figures = []
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        mail = pathlib.Path(directory) / "mail.eml"
        text = ["--text-bytes", str(options.text_bytes)]
        mail.write_bytes(subprocess.run([SENDER, "print", *text], capture_output=True, check=True).stdout)
        server, port = sink(directory)
        try:
            print(f"one mail: {mail.stat().st_size} bytes; {options.repetitions} repetitions; {os.cpu_count()} cores")
            for connections, count, senders in CELLS:
                plain = [str(port), str(connections), str(count), str(mail)]
                own = ["--port", str(port), "--connections", str(connections), "--count", str(count), *text]
                commands = {
                    "ours": [str(SENDER), "ours", *own],
                    "lettre": [str(SENDER), "lettre", *own],
                    "smtplib": [sys.executable, str(HERE / "smtp_peer.py"), *plain],
                    "nodemailer": ["node", str(HERE / "smtp_peer.cjs"), *plain],
                }
                senders = [name for name in senders if name != "nodemailer" or modules]
                runs = {name: [] for name in senders}
                for _ in range(options.repetitions):
                    for name in senders:
                        runs[name].append(measure(commands[name], environment))
                print(f"\n{connections} connection{'s' if connections > 1 else ''}, {count} mails")
                print(f"  {'':12}{'mails/s':>10}{'(least':>10}{'most)':>10}{'CPU µs/mail':>14}{'ours is':>12}")
                ours = [seconds for seconds, _ in runs["ours"]]
                for name in senders:
                    rates = sorted(count / seconds for seconds, _ in runs[name])
                    cpu = statistics.median(cpu for _, cpu in runs[name]) / count * 1e6
                    # Pairs of one repetition met the same machine.
                    ratio = statistics.median(theirs / own for (theirs, _), own in zip(runs[name], ours))
                    rate = statistics.median(rates)
                    shown = "" if name == "ours" else f"{ratio:.1f} x" + (" SLOWER" if ratio < 1 else "")
                    print(f"  {name:12}{rate:10.0f}{rates[0]:10.0f}{rates[-1]:10.0f}{cpu:14.0f}{shown:>12}")
                    figures.append({
                        "connections": connections, "mails": count, "sender": name, "mails_per_second": rate,
                        "least": rates[0], "most": rates[-1], "cpu_us_per_mail": cpu, "ours_is_times": ratio,
                    })
        finally:
            server.kill()
            server.wait()
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


main()
