"""What people do all day."""

import smtplib
import socket
from email.message import EmailMessage

from person import Person
from terminal import commands

SEARCHES = (
    "lamp",
    "desk lamp",
    "mug",
    "chair",
    "blanket",
    "clock",
    "oak",
    "linen",
    "tea bowl",
    "wool",
    "night",
)
NAMES = ("shop", "files", "post", "gateway", "intranet.harbour.example", "printer.harbour.example")
SUBJECTS = ("order 1007", "spring fair", "stock count on Thursday", "lunch?", "photographs of the lamps")
WORK = (
    "ls -la", "cat notes.txt", "cat todo.txt", "df -h .", "uptime", "wc -l *.txt",
    "date", "ls orders", "cat orders/november.csv", "grep -c written logs/sync.log",
)  # fmt: skip


def browse_shop(who: Person) -> None:
    """Look at the front page with its pictures, and at two or three articles."""
    with who.browser() as browser:
        front = browser.get("/")
        browser.fetch("/style.css")
        for name in who.dice.sample(("lamp", "mug", "chair", "blanket", "clock"), who.dice.randint(2, 5)):
            browser.fetch(f"/pictures/{name}.svg")
        products = browser.products(front)
        for it in who.dice.sample(products, min(len(products), who.dice.randint(1, 3))):
            browser.get(it)


def search_shop(who: Person) -> None:
    """Look for something, and at what was found."""
    with who.browser() as browser:
        found = browser.get("/search?q=" + who.dice.choice(SEARCHES).replace(" ", "+"))
        for it in browser.products(found)[: who.dice.randint(0, 2)]:
            browser.get(it)


def order_something(who: Person) -> None:
    """Put something into the basket, log in, and order it."""
    with who.browser() as browser:
        browser.get(f"/product/{who.dice.randint(1, 20)}")
        browser.post("/basket", product=str(who.dice.randint(1, 20)), pieces=str(who.dice.randint(1, 3)))
        browser.get("/login")
        browser.post("/login", name=who.desk.shop_user, password=who.desk.shop_password)
        browser.get("/basket")
        browser.post("/order")


def log_in_to_shop(who: Person) -> None:
    """Log in to the shop and look at one's account; now and then the password is wrong at first."""
    with who.browser() as browser:
        browser.get("/login")
        if who.dice.random() < 0.25:  # noqa: PLR2004 - a share
            browser.post("/login", name=who.desk.shop_user, password=who.desk.shop_password[:-1])
        browser.post("/login", name=who.desk.shop_user, password=who.desk.shop_password)
        browser.get("/account")


def use_telephone_app(who: Person) -> None:
    """Read one's own account through the interface of the app."""
    with who.browser() as browser:
        browser.get("/login")
        browser.post("/login", name=who.desk.shop_user, password=who.desk.shop_password)
        for _ in range(who.dice.randint(1, 4)):
            browser.fetch("/api/me")
            who.pause(0.5)


def follow_parcel(who: Person) -> None:
    """Ask where a parcel is."""
    with who.browser() as browser:
        browser.get("/parcel")
        browser.get(f"/parcel?number=HH-{who.dice.randint(1001, 1008)}")


def write_review(who: Person) -> None:
    """Say what one thinks of an article."""
    with who.browser() as browser:
        path = f"/product/{who.dice.randint(1, 20)}"
        browser.get(path)
        browser.post(
            f"{path}/review", author="Tom", words=who.dice.choice(("Good.", "As shown.", "A bit small."))
        )


def work_on_server(who: Person) -> None:
    """Log in and do everyday things."""
    with who.session() as terminal:
        commands(terminal, *who.dice.sample(WORK, who.dice.randint(3, 5)), pause=0.5 * who.pace)


def mistype_password(who: Person) -> None:
    """Log in at the second try."""
    with who.session(who.mistyped()) as terminal:
        commands(terminal, "ls", pause=0.5 * who.pace)


def list_packages(who: Person) -> None:
    """See what is installed, and in which version."""
    with who.root() as terminal:
        commands(terminal, "dpkg -l | tail -n 20", "dpkg -s openssh-server | grep Version")


def read_logs(who: Person) -> None:
    """See what the server's log says."""
    with who.root() as terminal:
        commands(terminal, "tail -n 30 /var/log/auth.log", "grep -c Failed /var/log/auth.log")


def restart_service(who: Person) -> None:
    """Restart a service."""
    with who.root() as terminal:
        commands(terminal, "service cron restart", "service cron status")


def use_sudo(who: Person) -> None:
    """Do something with sudo, out of habit."""
    with who.root() as terminal:
        commands(terminal, "sudo du -sh /var/log", "sudo ls -la /srv")


def look_at_schedule(who: Person) -> None:
    """See which jobs are scheduled."""
    with who.root() as terminal:
        commands(terminal, "ls -l /etc/cron.d /etc/cron.daily", "crontab -l")


def run_scheduled_job(who: Person) -> None:
    """Write the day's list, as a job of this machine does."""
    report = f"/tmp/stock-{who.dice.randrange(10**6)}.csv"  # noqa: S108
    who.run("sh", "-c", f"ls -l /usr/share >{report}; sort -o {report} {report}; wc -l {report}; rm {report}")


def back_up_over_ssh(who: Person) -> None:
    """Copy a file to where the papers are."""
    name = f"/tmp/list-{who.dice.randrange(10**6)}.txt"  # noqa: S108
    who.run("sh", "-c", f"head -c {who.dice.randint(2_000, 60_000)} /dev/urandom | base64 >{name}")
    who.copy(name, "HOST:list.txt")
    who.remove("list.txt")
    who.run("rm", "-f", name)


def fetch_over_http(who: Person) -> None:
    """Fetch the catalogue's pictures, as a job of this machine does."""
    names = who.dice.sample(("lamp", "mug", "chair", "blanket", "clock"), 3)
    who.run("curl", "-s", "-o", "/dev/null", *(f"http://{who.desk.shop}/pictures/{it}.svg" for it in names))


def look_up_names(who: Person) -> None:
    """Ask the name server for what one is about to use."""
    for name in who.dice.sample(NAMES, who.dice.randint(2, 4)):
        who.run("dig", "+short", "+tries=1", f"@{who.desk.names}", name)
        who.pause(0.3)


def send_mail(who: Person) -> None:
    """Write to a colleague."""
    message = EmailMessage()
    message["From"], message["To"] = f"{who.desk.user}@harbour.example", "all@harbour.example"
    message["Subject"] = who.dice.choice(SUBJECTS)
    message.set_content("See you,\n" + who.desk.user + " " * who.dice.randint(0, 400))
    with smtplib.SMTP(who.desk.mail, 25, timeout=10) as server:
        server.send_message(message)


def probe_services(who: Person) -> None:
    """See that shop and bastion answer, as monitoring does."""
    who.run("curl", "-s", "-I", "-A", "check_http/2.4", f"http://{who.desk.shop}/about")
    with socket.create_connection((who.desk.bastion, 22), timeout=5) as link:
        link.recv(100)
