dist_check_SCRIPTS += tests/step/front.py tests/step/move.py
EXTRA_DIST += tests/step/boxes.py tests/step/peers.py
TESTS += tests/step/front.py tests/step/move.py
