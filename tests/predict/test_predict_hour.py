"""An hour of video in less than two gigabytes, torch and its libraries included."""

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
done = api.predict(sys.argv[1], ["hour.mp4"], "out", device="cpu", wish=Wish(distinct="distinct" in sys.argv))
status = Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps({"peak": peak, "frames": [v.frames for v in done.videos], "failures": list(map(str, done.failures))}))
"""
MODEL = Choice.of("keyframe_transformer", backbone="tf_efficientnet_lite0", pretrained=False)
"""The head as it is by default: at 7,200 frames its attention would need 1.6 GB if it held scores of T x T."""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize("more", [(), ("distinct",)])
def test_an_hour_needs_less_than_two_gigabytes(more: tuple[str, ...], tmp_path: Path):
    film(tmp_path / "hour.mp4", seconds=3600, fps=10, width=160, height=120, scene_seconds=7, preset="ultrafast")
    trial = store_trial(tmp_path / "runs", frames(96, 96), MODEL).id
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, trial, *more],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1800,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["failures"] == []
    assert found["frames"] == [7200]
    assert found["peak"] < 2e9, f"{found['peak'] / 1e9:.2f} GB"
