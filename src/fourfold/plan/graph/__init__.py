"""Build the graph of a plan, and lay it out as the plan's bytes.

builder.py          builds steps, each of them once
steps.py            values and steps, and their layout as bytes
forest.py           trees whose leaves are added up
neighbours.py       the points of a nearest-neighbour search
text_reading.py     how a text becomes n-grams, with unicode_tables.py
numerics.py         what a value is computed from, and whether a library decides its last bits
"""
