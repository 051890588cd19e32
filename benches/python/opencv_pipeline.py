#!/usr/bin/env python3
"""Faces the way OpenCV's own samples do it: FaceDetectorYN and FaceRecognizerSF.

    opencv_pipeline.py FRAMES MODELS    # FRAMES/CLIP/*.jpg; the folder of models that make setup fills
"""

import cv2
import measure


def pipeline(models):
    detector = cv2.FaceDetectorYN.create(
        str(models / "yunet-2023mar.onnx"), "", (320, 320), measure.SCORE, measure.OVERLAP
    )
    recogniser = cv2.FaceRecognizerSF.create(str(models / "sface-2021dec.onnx"), "")

    def embed(picture):
        height, width = picture.shape[:2]
        detector.setInputSize((width, height))
        _, faces = detector.detect(picture)
        return [
            recogniser.feature(recogniser.alignCrop(picture, face)) for face in ([] if faces is None else faces)
        ]

    return embed


if __name__ == "__main__":
    measure.run("opencv", __doc__, pipeline)
