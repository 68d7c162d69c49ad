"""A plan while it is made.

builder.py          makes steps, and gives each its values once
steps.py            values and steps, and how they are laid out at the end
forest.py           trees that add up
neighbours.py       points that are looked for near a row
text_reading.py     how a text becomes n-grams, with unicode_tables.py
numerics.py         what values are made of, and whether a library decides their last bits
"""
