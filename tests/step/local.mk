dist_check_SCRIPTS += tests/step/front.py tests/step/modseq.py tests/step/move.py tests/step/submission.py \
	tests/step/submission_abuse.py
EXTRA_DIST += tests/step/boxes.py tests/step/peers.py tests/step/smtp_peers.py
TESTS += tests/step/front.py tests/step/modseq.py tests/step/move.py tests/step/submission.py \
	tests/step/submission_abuse.py
