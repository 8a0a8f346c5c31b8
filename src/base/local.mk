noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = src/base/buf.c src/base/clock.c src/base/counters.c src/base/crash.c src/base/err.c src/base/hash.c \
	src/base/log.c src/base/mem.c \
	include/wherry/base/buf.h include/wherry/base/clock.h include/wherry/base/counters.h include/wherry/base/crash.h \
	include/wherry/base/err.h include/wherry/base/hash.h include/wherry/base/list.h \
	include/wherry/base/log.h include/wherry/base/mem.h include/wherry/base/settings.h
