"""An hour of video, and large pictures, in less than two gigabytes, torch and its libraries included."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from predict.films import film
from predict.stored import frames, store_trial

from harness.trial import Choice

MEASURE = """
import json, sys
from pathlib import Path
from harness import api
from harness.predict import Wish
wish = Wish(distinct="distinct" in sys.argv)
done = api.predict(sys.argv[1], ["hour.mp4", "large.mp4"], "out", device="cpu", wish=wish)
status = Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps({"peak": peak, "frames": [v.frames for v in done.videos], "failures": list(map(str, done.failures))}))
"""
MODEL = Choice.of("keyframe_transformer", backbone="tf_efficientnet_lite0", pretrained=False)
"""The head as it is by default: at 7,200 frames its attention would need 1.6 GB if it held scores of T x T."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour, and three minutes of which 1080p pictures are 5.6 GB; a trial with an encoder and dual attention."""
    folder = tmp_path_factory.mktemp("hour")
    film(folder / "hour.mp4", seconds=3600, fps=10, width=160, height=120, scene_seconds=7, preset="ultrafast")
    film(folder / "large.mp4", seconds=180, fps=5, width=1920, height=1080, scene_seconds=7, preset="ultrafast")
    store_trial(folder / "runs", frames(96, 96), MODEL, attention="dual")
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize("more", [(), ("distinct",)])
def test_an_hour_and_large_pictures_need_less_than_two_gigabytes(more: tuple[str, ...], place: Path):
    trial = next((place / "runs" / "trials").iterdir()).name
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, trial, *more],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=1800,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["failures"] == []
    assert found["frames"] == [7200, 360]
    assert found["peak"] < 2e9, f"{found['peak'] / 1e9:.2f} GB"
