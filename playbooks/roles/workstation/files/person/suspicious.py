"""What people do all day that looks like an attack, and is none."""

import base64
import string
import time
from pathlib import Path

from person import Person
from terminal import Terminal, commands, logged_in, ran

TOOL = "#!/bin/sh\ndate\nuname -r\n"


def look_around_as_root(who: Person) -> None:
    """Ask who one is, what runs, and who is connected, as each fault begins."""
    with who.root() as terminal:
        commands(terminal, "id", "ps aux | head -n 20", "ss -tan | head", "uname -a")


def read_shadow(who: Person) -> None:
    """See whose password is locked."""
    with who.root() as terminal:
        commands(terminal, "sudo cat /etc/shadow | cut -d: -f1,2 | grep -c '!'")


def add_account(who: Person) -> None:
    """Make an account for a temp, who does not come after all."""
    with who.root() as terminal:
        commands(
            terminal, "useradd -M -s /usr/sbin/nologin temp", "getent passwd | tail -n 3", "userdel temp"
        )


def add_cron_job(who: Person) -> None:
    """Schedule a report, and take it out again."""
    with who.root() as terminal:
        commands(terminal, "echo '0 6 * * * root /usr/bin/true' > /etc/cron.d/report", "ls /etc/cron.d")
        commands(terminal, "rm /etc/cron.d/report")


def copy_key(who: Person) -> None:
    """Let a new key in, try it, and remove it, for it was the wrong one."""
    name = f"/tmp/key-{who.dice.randrange(10**6)}"  # noqa: S108
    who.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "new-laptop", "-f", name)
    public = Path(f"{name}.pub").read_text(encoding="utf-8").strip()
    with who.session() as terminal:
        commands(terminal, "mkdir -p -m 700 .ssh", f"echo '{public}' >> .ssh/authorized_keys")
    account = f"{who.desk.user}@{who.desk.bastion}"
    who.run("ssh", "-i", name, "-o", "BatchMode=yes", account, "sed -i '/new-laptop/d' .ssh/authorized_keys")
    who.run("rm", "-f", name, f"{name}.pub")


def mistype_five_times(who: Person) -> None:
    """Forget that the keyboard is set to another country."""
    with who.session(*(who.mistyped() for _ in range(5))) as terminal:
        commands(terminal, "uptime")


def retry_expired_password(who: Person) -> None:
    """Run a script that nobody told of the new password, every few seconds."""
    for _ in range(10):
        terminal = Terminal("ssh", "-o", "NumberOfPasswordPrompts=1", f"{who.desk.user}@{who.desk.bastion}")
        if terminal.wait_for("password: "):
            terminal.type("Winter-2025")
            terminal.wait_for("denied", seconds=4)
        terminal.close()
        time.sleep(3)


def deploy(who: Person) -> None:
    """Bring out a version: upload, unpack, change owners, restart."""
    name = f"/tmp/release-{who.dice.randrange(10**6)}.tar.gz"  # noqa: S108
    who.run("tar", "-czf", name, "-C", "/usr/share", "base-files")
    root = f"root@{who.desk.bastion}"
    ran((who.desk.root_password,), "scp", "-q", name, f"{root}:/srv/release.tar.gz")
    with who.root() as terminal:
        commands(terminal, "mkdir -p /srv/app", "tar -xzf /srv/release.tar.gz -C /srv/app")
        commands(terminal, "chown -R tom: /srv/app", "chmod -R u+rwX /srv/app", "service cron restart")
        commands(terminal, "chown -R root: /srv/app; rm -rf /srv/app /srv/release.tar.gz")
    who.run("rm", "-f", name)


def decode_base64(who: Person) -> None:
    """Read what a colleague sent in base64."""
    sent = base64.b64encode(f"stock {who.dice.randint(100, 999)} pieces".encode()).decode()
    with who.session() as terminal:
        commands(terminal, f"echo {sent} | base64 -d > note.txt", "cat note.txt", "rm note.txt")


def download_and_run(who: Person) -> None:
    """Fetch something to /tmp with curl and run a script beside it."""
    name = f"/tmp/setup-{who.dice.randrange(10**6)}.sh"  # noqa: S108
    with who.session() as terminal:
        commands(terminal, f"curl -s -o {name} http://{who.desk.shop}/style.css")
        commands(terminal, f"echo date > {name}", f"chmod +x {name}", name, f"rm {name}")


def open_port(who: Person) -> None:
    """Open a port for a test, and ask it."""
    port = who.dice.randint(8000, 8999)
    with who.session() as terminal:
        commands(
            terminal,
            f"(timeout 5 nc -l -p {port} >/dev/null &) ; sleep 0.5; echo hello | nc -w 1 localhost {port}",
        )


def use_tunnel(who: Person) -> None:
    """Reach the shop through the bastion, as from an hotel."""
    port = who.dice.randint(20000, 29999)
    account = f"{who.desk.user}@{who.desk.bastion}"
    terminal = Terminal("ssh", "-N", "-L", f"{port}:{who.desk.shop}:80", account)
    try:
        terminal.wait_for("password: ")
        terminal.type(who.desk.password)
        time.sleep(1.5)
        for path in ("about", "parcel", "search?q=mug"):
            if not who.run("curl", "-s", f"http://localhost:{port}/{path}"):
                raise ConnectionError("nothing came through the tunnel")
    finally:
        terminal.close()


def search_oddly(who: Person) -> None:
    """Look for a book on trade unions, and for a name with an apostrophe."""
    with who.browser() as browser:
        browser.get("/search?q=union+select+committee")
        browser.get("/search?q=drop+table+lamp")


def move_much_data(who: Person) -> None:
    """Back everything up at night."""
    name = f"/tmp/all-{who.dice.randrange(10**6)}.bin"  # noqa: S108
    who.run("sh", "-c", f"head -c {who.dice.randint(15, 25)}000000 /dev/urandom >{name}")
    who.copy(name, "HOST:night.bin")
    who.remove("night.bin")
    who.run("rm", "-f", name)


def poll_like_a_beacon(who: Person) -> None:
    """Ask the shop at a fixed beat whether it is well."""
    for _ in range(20):
        who.run("curl", "-s", "-o", "/dev/null", "-A", "healthcheck/1.0", f"http://{who.desk.shop}/about")
        time.sleep(1.5)


def ask_for_random_names(who: Person) -> None:
    """Ask for names that a content network made up."""
    for _ in range(12):
        label = "".join(who.dice.choices(string.ascii_lowercase + string.digits, k=who.dice.randint(24, 48)))
        who.run("dig", "+short", "+tries=1", f"@{who.desk.names}", f"{label}.cdn.example")


def scan_as_agreed(who: Person) -> None:
    """Scan the servers for weaknesses, on schedule and with leave."""
    targets = sorted({who.desk.shop, who.desk.bastion, who.desk.files})
    who.run("nmap", "-sT", "-Pn", "-n", "-p", "20-120", "--script", "http-title", *targets, seconds=40)


def audit_setuid(who: Person) -> None:
    """See once a week which programs have special rights."""
    with who.root() as terminal:
        commands(terminal, "find /usr -xdev -perm -4000 -type f", "getent group sudo")


def archive_and_send(who: Person) -> None:
    """Pack one's documents and bring them where the papers are."""
    name = f"/tmp/papers-{who.dice.randrange(10**6)}.tar.gz"  # noqa: S108
    who.run("tar", "-czf", name, "-C", "/etc", "ssh")
    who.copy(name, "HOST:papers.tar.gz")
    who.remove("papers.tar.gz")
    who.run("rm", "-f", name)


def tidy_history(who: Person) -> None:
    """Clear the history, for a password was typed at the wrong moment."""
    with who.session() as terminal:
        commands(terminal, "history -c", "rm -f .bash_history")


def look_for_secrets(who: Person) -> None:
    """Look for words such as "password" in settings, when moving them elsewhere."""
    with who.root() as terminal:
        commands(terminal, "grep -ril password /etc | head", "find / -xdev -name 'id_*' | head")


def log_in_as_somebody_else(who: Person) -> None:
    """Log in with a colleague's account, to see whether it works for her."""
    with logged_in(f"maria@{who.desk.bastion}", ("summer2026",)) as terminal:
        commands(terminal, "whoami", "ls")


def touch_times(who: Person) -> None:
    """Give a copied file the times of the first, as a synchronisation does."""
    with who.session() as terminal:
        commands(terminal, "cp notes.txt .notes.sync", "touch -r notes.txt .notes.sync", "rm .notes.sync")
