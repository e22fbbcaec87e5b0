"""The arithmetic of costs, against figures worked out by hand."""

import pytest

from tests.bench.prices import Use, a_month, billed_ms, express_cost, lambda_cost


def test_a_second_at_a_gigabyte_a_million_times_costs_what_the_price_list_says() -> None:
    assert lambda_cost(1000, 1024) * 1e6 == pytest.approx(16.6667 + 0.20)
    assert lambda_cost(100, 512) * 1e6 == pytest.approx(0.833335 + 0.20)


def test_computing_takes_longer_with_less_memory_waiting_does_not() -> None:
    assert billed_ms(100.0, 0.0, 128) == 100
    assert billed_ms(100.2, 0.0, 128) == 101, "up to the next millisecond"
    assert billed_ms(100.0, 100.0, 1769) == 100
    assert billed_ms(100.0, 100.0, 885) == 200
    assert billed_ms(100.0, 50.0, 512) == 223, "50 waited, 50 x 1769 / 512 computed"
    assert billed_ms(100.0, 50.0, 3538) == 100, "one thread has no use for a second processor"
    assert billed_ms(0.0, 0.0, 512) == 1


def test_express_counts_steps_of_64_megabytes_and_100_milliseconds() -> None:
    second = 64 / 1024 * 0.06 / 3600
    assert express_cost(1000, 0) == pytest.approx(second + 1e-6)
    assert express_cost(901, 0) == pytest.approx(second + 1e-6)
    assert express_cost(1000, 15 * 2**20) == pytest.approx(2 * second + 1e-6)


def test_a_month_is_the_sum_of_its_services() -> None:
    use = Use(functions={"f": (1000, 1024)}, express_ms=1000, writes=2, reads=4, puts=1, gets=1, log_bytes=1000, discoveries=1)
    month = a_month(use, times=1_000_000)
    assert month == pytest.approx(
        {
            "Lambda": 16.8667,
            "Step Functions (Express)": 2.0416667,
            "DynamoDB": 1.75,
            "S3": 5.4,
            "CloudWatch Logs": 0.5,
            "X-Ray": 5.0,
            "Scheduler": 1.0,
            "Cloud Map discovery": 1.0,
        }
    )
