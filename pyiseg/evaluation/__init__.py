"""Measuring interactive segmentation: the robot user, the metrics, the data sets.

Needs the extra ``pyiseg[evaluate]`` (OpenCV); the rest of pyiseg never imports it.
"""
