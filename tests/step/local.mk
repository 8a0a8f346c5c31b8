step_tests = tests/step/dav.py tests/step/dav_move.py tests/step/delta.py tests/step/faults.py tests/step/front.py tests/step/homes.py tests/step/late.py tests/step/live.py tests/step/modseq.py \
	tests/step/move.py tests/step/names.py tests/step/submission.py \
	tests/step/submission_abuse.py tests/step/verify.py
dist_check_SCRIPTS += $(step_tests)
EXTRA_DIST += tests/step/boxes.py tests/step/dav_peers.py tests/step/dav_store.py tests/step/peers.py tests/step/runner.py tests/step/smtp_peers.py
TESTS += $(step_tests)
