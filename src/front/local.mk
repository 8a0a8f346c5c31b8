noinst_LIBRARIES += libfront.a
libfront_a_SOURCES = src/front/append.c src/front/caps.c src/front/caps.h src/front/code.c \
	src/front/command.c src/front/door.c src/front/door.h src/front/fast.c src/front/front.c \
	src/front/guest.c src/front/list.c src/front/own.c \
	src/front/reply.c src/front/reply.h src/front/say.c src/front/search.c src/front/select.c \
	src/front/session.c src/front/session.h src/front/signin.c src/front/status.c \
	src/front/structure.c src/front/translate.c src/front/translate.h src/front/upstream.c \
	src/front/visitor.h include/wherry/front/front.h
