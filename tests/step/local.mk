dist_check_SCRIPTS += tests/step/front.py
EXTRA_DIST += tests/step/peers.py
TESTS += tests/step/front.py
