"""Helpers for dataset plugins: folders, downloads, hashes, archives, the shared array cache, and splits.

Importing this package imports NumPy, and neither torch nor Pillow nor a video decoder.
"""

from __future__ import annotations

from .arrays import StoredArrays, cached_arrays, filled_arrays
from .catalogue import Checked, Status, fetch, status, verify_all
from .draws import uniforms
from .features import stored_features
from .folders import cache_root, data_root, find_file, require
from .hashes import digest, fingerprint, remembered, verify
from .initial import initial_weights_wanted, without_initial_weights
from .remote import Member, RemoteFile, download
from .sampling import Sampled, frame_times, sample, sampled_frames
from .segments import frame_descriptors, kernel_segments, shots
from .splits import ArraySplit, stratified_holdout
from .unpacking import Entry, unpack, walk
from .video import VIDEO_SUFFIXES, VideoInfo, probe, read_frames

__all__ = [
    "VIDEO_SUFFIXES",
    "ArraySplit",
    "Checked",
    "Entry",
    "Member",
    "RemoteFile",
    "Sampled",
    "Status",
    "StoredArrays",
    "VideoInfo",
    "cache_root",
    "cached_arrays",
    "data_root",
    "digest",
    "download",
    "fetch",
    "filled_arrays",
    "find_file",
    "fingerprint",
    "frame_descriptors",
    "frame_times",
    "initial_weights_wanted",
    "kernel_segments",
    "probe",
    "read_frames",
    "remembered",
    "require",
    "sample",
    "sampled_frames",
    "shots",
    "status",
    "stored_features",
    "stratified_holdout",
    "uniforms",
    "unpack",
    "verify",
    "verify_all",
    "walk",
    "without_initial_weights",
]
