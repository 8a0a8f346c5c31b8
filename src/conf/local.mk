noinst_LIBRARIES += libconf.a
libconf_a_SOURCES = src/conf/check.c src/conf/conf.c src/conf/parse.c src/conf/table.c src/conf/value.c \
	src/conf/conf_internal.h include/wherry/conf/conf.h
