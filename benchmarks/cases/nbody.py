"""Arithmetic on floats in tight loops: planets pull each other, step by step."""

import math

STEPS = 45_000
BODIES = 5


def bodies():
    """Return a sun and planets on circles around it, each [x, y, z, vx, vy, vz, mass]."""
    result = [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 40.0]]
    for index in range(1, BODIES):
        radius = 1.0 + 1.7 * index
        speed = math.sqrt(40.0 / radius)
        angle = 2.4 * index
        result.append(
            [
                radius * math.cos(angle),
                radius * math.sin(angle),
                0.01 * index,
                -speed * math.sin(angle),
                speed * math.cos(angle),
                0.0,
                0.03 / index,
            ]
        )
    return result


def energy(system):
    """Return the kinetic and potential energy of the system."""
    total = 0.0
    for index, (x, y, z, vx, vy, vz, mass) in enumerate(system):
        total += 0.5 * mass * (vx * vx + vy * vy + vz * vz)
        for ox, oy, oz, _, _, _, other in system[index + 1 :]:
            total -= mass * other / math.sqrt((x - ox) ** 2 + (y - oy) ** 2 + (z - oz) ** 2)
    return total


def advance(pairs, system, step):
    """Move all bodies on by `step`."""
    for one, two in pairs:
        dx = one[0] - two[0]
        dy = one[1] - two[1]
        dz = one[2] - two[2]
        square = dx * dx + dy * dy + dz * dz
        pull = step / (square * math.sqrt(square))
        to_one = two[6] * pull
        to_two = one[6] * pull
        one[3] -= dx * to_one
        one[4] -= dy * to_one
        one[5] -= dz * to_one
        two[3] += dx * to_two
        two[4] += dy * to_two
        two[5] += dz * to_two
    for body in system:
        body[0] += step * body[3]
        body[1] += step * body[4]
        body[2] += step * body[5]


def run(n):
    """Return the energy lost over `n` times STEPS steps."""
    system = bodies()
    pairs = [(one, two) for index, one in enumerate(system) for two in system[index + 1 :]]
    before = energy(system)
    for _ in range(n * STEPS):
        advance(pairs, system, 0.001)
    return before - energy(system)
