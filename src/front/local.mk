noinst_LIBRARIES += libfront.a
libfront_a_SOURCES = src/front/caps.c src/front/caps.h src/front/code.c src/front/reply.c src/front/reply.h \
	src/front/search.c src/front/translate.c src/front/translate.h include/wherry/front/front.h
