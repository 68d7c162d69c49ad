"""Define the stages of packing, one file a stage: prepare, sample, compete, measure, build."""
