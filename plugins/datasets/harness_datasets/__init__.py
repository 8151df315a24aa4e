"""The data sets that ship with the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness.registry import Registry


@hookimpl
def harness_register(registry: Registry) -> None:
    registry.add(
        "dataset",
        "digits",
        "harness_datasets.digits:Digits",
        summary="1,797 handwritten digits, 8x8 grey, 10 classes; comes with scikit-learn, no download",
        source="Alpaydin and Kaynak 1998, doi:10.24432/C50P49",
    )
    registry.add(
        "dataset",
        "cifar10",
        "harness_datasets.cifar:Cifar10",
        summary="60,000 photographs, 32x32 colour, 10 classes",
        source="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
    )
    registry.add(
        "dataset",
        "cifar100",
        "harness_datasets.cifar:Cifar100",
        summary="60,000 photographs, 32x32 colour, 100 fine classes",
        source="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
    )
    registry.add(
        "dataset",
        "mnist",
        "harness_datasets.mnist:Mnist",
        summary="70,000 handwritten digits, 28x28 grey, 10 classes",
        source="LeCun et al. 1998, doi:10.1109/5.726791",
    )
    registry.add(
        "dataset",
        "fashion_mnist",
        "harness_datasets.mnist:FashionMnist",
        summary="70,000 pictures of clothes, 28x28 grey, 10 classes",
        source="Xiao et al. 2017, arXiv:1708.07747",
    )
    registry.add(
        "dataset",
        "image_folder",
        "harness_datasets.image_folder:ImageFolder",
        summary="your own images: a folder, zip or tar of split/class/*.jpg|png or class/*.jpg|png",
        source="original",
    )
    registry.add(
        "dataset",
        "moving_mnist",
        "harness_datasets.moving_mnist:MovingMnist",
        summary="clips of two MNIST digits that bounce about, 20 frames of 64x64 grey, drawn on the device",
        source="Srivastava et al. 2015, arXiv:1502.04681",
    )
    registry.add(
        "dataset",
        "moving_digits",
        "harness_datasets.moving_digits:MovingDigits",
        summary="clips of two small digits that bounce about, 20 frames of 32x32 grey; no download",
        source="Srivastava et al. 2015, arXiv:1502.04681",
    )
    registry.add(
        "dataset",
        "video_folder",
        "harness_datasets.video_folder:VideoFolder",
        summary="your own videos: a folder of mp4|mkv|avi|..., RGB or grey clips, decoded once",
        source="original",
    )
    registry.add(
        "dataset",
        "tvsum",
        "harness_datasets.tvsum:Tvsum",
        summary="50 videos, every frame scored by 20 people; as features, as videos, or by the frames' places alone",
        source="Song et al. 2015, doi:10.1109/CVPR.2015.7299154",
    )
    registry.add(
        "dataset",
        "summe",
        "harness_datasets.summe:Summe",
        summary="25 home videos, each summarised by 15 to 18 people; as features or as videos",
        source="Gygli et al. 2014, doi:10.1007/978-3-319-10584-0_33",
    )
    registry.add(
        "dataset",
        "scored_videos",
        "harness_datasets.scored_videos:ScoredVideos",
        summary="your own videos and a CSV of scores over time, by one annotator or several",
        source="original",
    )
    registry.add(
        "dataset",
        "toy_videos",
        "harness_datasets.toy_videos:ToyVideos",
        summary="60 made-up videos whose frames matter as far as they stand out from the scenes beside; no download",
        source="original",
    )
