"""Graphs of objects, polymorphic calls, growing lists: one-way constraints are solved (in the manner of DeltaBlue)."""

CHAIN = 60
NETWORKS = 90
CHANGES = 30


class Variable:
    """A value, what computes it and what reads it."""

    def __init__(self, name, value):
        self.name = name
        self.value = value
        self.readers = []
        self.source = None
        self.mark = 0


class Constraint:
    """Computes `output` from its inputs."""

    def __init__(self, output, *inputs):
        self.output = output
        self.inputs = inputs
        output.source = self
        for variable in inputs:
            variable.readers.append(self)

    def is_known(self, mark):
        """Say whether all inputs are computed in this pass already."""
        return all(variable.mark == mark or variable.source is None for variable in self.inputs)

    def compute(self):
        """Return the output's value."""
        raise NotImplementedError

    def execute(self, mark):
        """Set the output; say whether it changed."""
        value = self.compute()
        changed = value != self.output.value
        self.output.value = value
        self.output.mark = mark
        return changed


class Equal(Constraint):
    """The output is the input."""

    def compute(self):
        return self.inputs[0].value


class Scale(Constraint):
    """The output is the first input times the second plus the third."""

    def compute(self):
        source, factor, offset = self.inputs
        return source.value * factor.value + offset.value


class Largest(Constraint):
    """The output is the largest input."""

    def compute(self):
        return max([variable.value for variable in self.inputs])


class Planner:
    """Finds the constraints that a change makes run, and their order."""

    def __init__(self):
        self.mark = 0

    def plan(self, variable):
        """Return the constraints downstream of `variable`, each after those it needs."""
        self.mark += 1
        order = []
        todo = [variable]
        seen = set()
        while todo:
            for constraint in todo.pop().readers:
                if constraint not in seen:
                    seen.add(constraint)
                    order.append(constraint)
                    todo.append(constraint.output)
        return order

    def change(self, variable, value):
        """Set a variable and all that follows from it; return how many changed."""
        plan = self.plan(variable)
        variable.value = value
        variable.mark = self.mark
        return sum([constraint.execute(self.mark) for constraint in plan])


def network():
    """Return the first variable of a long chain, and of a fan of scaled ones."""
    start = Variable("start", 0)
    previous = start
    for index in range(CHAIN):
        following = Variable(f"link{index}", 0)
        Equal(following, previous)
        previous = following
    factor = Variable("factor", 3)
    offset = Variable("offset", 1)
    scaled = []
    for index in range(CHAIN):
        output = Variable(f"scaled{index}", 0)
        Scale(output, start if index % 2 else factor, factor, offset)
        scaled.append(output)
    Largest(Variable("largest", 0), *scaled)
    return start, factor


def run(n):
    """Return the number of values that changes to `n` times NETWORKS networks altered."""
    planner = Planner()
    altered = 0
    for _ in range(n * NETWORKS):
        start, factor = network()
        for change in range(CHANGES):
            altered += planner.change(start, change)
            altered += planner.change(factor, change % 7)
    return altered
