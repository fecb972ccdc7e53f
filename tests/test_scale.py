"""The cost model of docs/scale.md: what it fits it finds again, and its sizes are those of shapes."""

import pytest

from benchmarks import scale

PARTS = (0.5, 0.4e-3, 0.3e-6, 12e-6, 50e-6)


def row(n_samples, n_units, n_concepts, n_layers):
    found = {
        "n_samples": n_samples, "n_units": n_units, "n_concepts": n_concepts, "n_layers": n_layers
    }  # fmt: skip
    terms = scale.terms_of(found)
    return found | {"cpu_seconds": sum(a * b for a, b in zip(PARTS, terms, strict=True))}


def test_times_that_follow_the_model_are_fitted_exactly():
    rows = [
        row(*one)
        for one in (
            (256, 32, 20, 3), (1024, 32, 20, 3), (256, 64, 20, 3), (256, 64, 160, 3),
            (256, 64, 20, 6), (512, 128, 10, 1),
        )
    ]  # fmt: skip
    held_out = row(700, 48, 80, 4)
    slow = held_out | {"cpu_seconds": 1.25 * held_out["cpu_seconds"]}
    found = scale.fit(rows, [held_out, slow])
    assert found["seconds_fixed"] == pytest.approx(PARTS[0], rel=1e-2)
    assert found["us_per_sample_and_unit"] == pytest.approx(12, rel=1e-2)
    assert found["off"] == pytest.approx([0] * 6, abs=2e-3)
    assert found["held_out_off"] == pytest.approx([0, 0.25], abs=2e-3)


def test_maps_of_a_block_are_its_layers_numbers():
    layers = scale.stylegan2_1024()
    expected = 32 * sum(4 * one.units * one.height * one.width for one in layers) / 1e9
    assert scale.bytes_of(layers, 150)["maps_of_a_block"] == pytest.approx(expected, abs=1e-3)
    assert sum(one.units for one in layers) == 5568


def test_more_gpus_take_less_time_and_no_more_memory_a_machine_beyond_eight():
    one, eight, many = (scale.times(5568, 150, 10**6, n) for n in (1, 8, 64))
    assert one["hours"] == pytest.approx(8 * eight["hours"], rel=0.01)
    assert eight["host_gb_per_machine"] == many["host_gb_per_machine"]
    assert one["merge_s"] == 0 < eight["merge_s"] < many["merge_s"]
