"""Long runs on real input, one documented command each; never part of the tests."""
