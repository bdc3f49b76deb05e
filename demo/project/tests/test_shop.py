import shop


def test_a_small_basket_costs_its_prices():
    assert shop.total([20, 30]) == 50


def test_a_large_basket_is_a_tenth_cheaper():
    assert shop.total([50, 150]) == 180
