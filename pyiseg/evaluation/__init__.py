"""Measuring interactive segmentation: robot users, metrics, data sets, and reports of them.

Needs the extra ``pyiseg[evaluate]``; the rest of pyiseg never imports it, but for the commands that run it.
"""
