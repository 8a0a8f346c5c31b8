noinst_LIBRARIES += libverify.a
libverify_a_SOURCES = src/verify/judge.c src/verify/judge.h src/verify/side.c src/verify/side.h src/verify/verify.c \
	include/wherry/verify/verify.h
