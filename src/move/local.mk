noinst_LIBRARIES += libmove.a
libmove_a_SOURCES = \
	src/move/account.c \
	src/move/batch.c \
	src/move/compare.c \
	src/move/conn.c \
	src/move/conn.h \
	src/move/copy.c \
	src/move/flags.c \
	src/move/flags.h \
	src/move/foreign.c \
	src/move/glance.c \
	src/move/hold.c \
	src/move/intents.c \
	src/move/look.c \
	src/move/match.c \
	src/move/mirror.c \
	src/move/mirror_plan.c \
	src/move/mirror_priv.h \
	src/move/move_priv.h \
	src/move/mover.c \
	src/move/mover_priv.h \
	src/move/names.c \
	src/move/open.c \
	src/move/pace.c \
	src/move/rest.c \
	src/move/seat.c \
	src/move/special.c \
	src/move/special.h \
	src/move/quiet.c \
	src/move/spool.c \
	src/move/sweep.c \
	src/move/switch.c \
	src/move/throttle.c \
	src/move/throttle.h \
	src/move/tidy.c \
	src/move/unit.c \
	include/wherry/move/account.h
