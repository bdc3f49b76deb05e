"""Many small methods and attributes: tasks of an operating system pass packets on (in the manner of Richards)."""

ROUNDS = 180_000


class Packet:
    """A piece of work on its way to a task."""

    def __init__(self, kind, payload):
        self.kind = kind
        self.payload = payload
        self.hops = 0


class Task:
    """Something with an inbox, that runs while it has packets."""

    def __init__(self, name, priority):
        self.name = name
        self.priority = priority
        self.inbox = []
        self.held = False
        self.handled = 0

    def ready(self):
        """Say whether there is something to do."""
        return bool(self.inbox) and not self.held

    def give(self, packet):
        """Put a packet in the inbox."""
        packet.hops += 1
        self.inbox.append(packet)

    def step(self, kernel):
        """Handle one packet."""
        packet = self.inbox.pop()
        self.handled += 1
        self.handle(packet, kernel)

    def handle(self, packet, kernel):
        """Do the task's own thing with a packet."""
        raise NotImplementedError


class Worker(Task):
    """Changes a packet's payload and sends it to a device."""

    def handle(self, packet, kernel):
        packet.payload = [(letter * 7 + packet.hops) % 26 for letter in packet.payload]
        kernel.send("disk" if packet.payload[0] % 2 else "tape", packet)


class Device(Task):
    """Counts, and now and then holds the other device until it has run once more."""

    def __init__(self, name, priority, partner):
        super().__init__(name, priority)
        self.partner = partner

    def handle(self, packet, kernel):
        kernel.io += 1
        packet.kind = self.name
        other = kernel.task(self.partner)
        other.held = not other.held and kernel.io % 5 == 0
        kernel.send("judge", packet)


class Judge(Task):
    """Sends packets back to the workers, in turn."""

    def handle(self, packet, kernel):
        self.held = False
        kernel.send(f"worker{self.handled % 3}", packet)


class Kernel:
    """Runs the ready task of highest priority, over and over."""

    def __init__(self):
        self.io = 0
        self.tasks = {}

    def add(self, task):
        """Take in a task."""
        self.tasks[task.name] = task

    def task(self, name):
        """Return the task of that name."""
        return self.tasks[name]

    def send(self, name, packet):
        """Give a packet to the task of that name."""
        self.task(name).give(packet)

    def choose(self):
        """Return the ready task of highest priority, or None."""
        best = None
        for task in self.tasks.values():
            if task.ready() and (best is None or task.priority > best.priority):
                best = task
        return best

    def schedule(self, rounds):
        """Run so many steps."""
        for _ in range(rounds):
            task = self.choose()
            if task is None:
                for held in self.tasks.values():
                    held.held = False
                continue
            task.step(self)


def run(n):
    """Return the number of device operations in `n` times ROUNDS steps."""
    kernel = Kernel()
    for index in range(3):
        kernel.add(Worker(f"worker{index}", 10 + index))
    kernel.add(Device("disk", 30, "tape"))
    kernel.add(Device("tape", 31, "disk"))
    kernel.add(Judge("judge", 20))
    for index in range(6):
        kernel.send(f"worker{index % 3}", Packet("work", [index, 1, 2, 3]))
    kernel.schedule(n * ROUNDS)
    return kernel.io
