"""How far each op may be from tests/support/reference.py: the largest absolute difference, on every device.

All ops compute in FP32, whose unit is 6e-8 at 1.
"""

CLICK_MAPS = 1.2e-7
FORCED = 0.0
REGIONS = 0.0
# In alpha, that is a * guide + b. eps -> tolerance: a can be of the order of 1 / (2 sqrt(eps)), and multiplies the
# rounding of the guide's means.
GUIDED = {1e-8: 5e-6, 1e-4: 2e-6, 1e-3: 2e-6, 1.0: 5e-7}
# With the color guide, slopes of up to 1 / (2 sqrt(eps)) multiply roundings of an inverse of up to 1 / eps.
COLOR = {1e-6: 2e-3, 1e-4: 5e-5, 1e-3: 1e-5, 1.0: 1e-6}
COLOR_ON_GRID = 1e-5  # the residual form gives back the prediction
APPLIED = 1e-6
APPLIED_COLOR = 3e-6
APPLIED_BYTES = 1  # only where alpha * 255 lies within APPLIED of a half
CONSTANT = 0.0
BOX_MEAN = 3e-7

# Resizing. What Pillow gives is met to the bit; these are for what it rounds otherwise, of values in 0..1.
ON_GRID = 1e-6  # columns of a window are summed in FP32
RESIZED = 1.2e-7  # each of two passes rounds to FP32
REDUCED = 0.67  # of a byte: the mean of 3 bytes rounds up from 2/3 on, that of any odd number n from 1/2 + 1/(2n)
