"""Rendered scenes per second: ``python -m benchmarks.render_scenes`` prints one JSON object."""

import argparse
import json
import time

from dissect.worlds import render_scenes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="on one line, as without it")
    options = parser.parse_args()
    render_scenes(range(64), seed=0, size=options.size)
    wall, cpu = time.perf_counter(), time.process_time()
    render_scenes(range(options.images), seed=1, size=options.size, n_threads=options.threads)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        json.dumps(
            {
                "images": options.images,
                "size": options.size,
                "threads": options.threads,
                "images_per_s": round(options.images / wall, 1),
                "images_per_cpu_s": round(options.images / cpu, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
