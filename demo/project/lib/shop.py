"""The shop: what the tests are about."""


def total(prices):
    """Return what a basket of `prices` costs; from 100 on, a tenth is off."""
    full = sum(prices)
    return full * 9 // 10 if full >= 100 else full
