dist_check_SCRIPTS += tests/check-layers
TESTS += tests/check-layers
# What runs against real servers, by contrib/check and not by make check.
EXTRA_DIST += tests/func contrib/bench contrib/bench.py contrib/bench_live.py contrib/bench_proxy.py contrib/bench_submission.py contrib/build contrib/check contrib/demo contrib/demo.py \
	contrib/setup
EXTRA_DIST += contrib/tsan
# EXTRA_DIST takes folders whole, with what Python leaves in them.
dist-hook:
	find "$(distdir)/tests/func" -name __pycache__ -prune -exec rm -rf {} +
