/* Times whole processes, interleaved, so that what else the machine does falls on all of them alike.
 *
 *   spawn ROUNDS FILE
 *
 * FILE has one command per line, its arguments separated by tabs. Each round runs every command once, in an order
 * drawn anew, since each finds the caches as the one before it left them. The commands write to /dev/null. Printed is
 * one line per command, in the file's order, tab-separated: median, 10th and 90th percentile of the time from
 * posix_spawn to the end, and the median of the processor time, all in microseconds. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

enum { MAX_COMMANDS = 32, MAX_ARGUMENTS = 32 };

extern char **environ;

static char *commands[MAX_COMMANDS][MAX_ARGUMENTS + 1];
static double *elapsed[MAX_COMMANDS], *processor[MAX_COMMANDS];
static posix_spawn_file_actions_t quiet;

static void fail(const char *what, const char *why) {
	fprintf(stderr, "spawn: %s: %s\n", what, why);
	exit(1);
}

static int ascending(const void *left, const void *right) {
	double a = *(const double *)left, b = *(const double *)right;
	return (a > b) - (a < b);
}

static double quantile(double *sorted, int count, double share) {
	double at = share * (count - 1);
	int below = (int)at;
	int above = below + 1 < count ? below + 1 : below;
	return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

static int read_commands(const char *path) {
	FILE *file = fopen(path, "r");
	if (!file) fail(path, strerror(errno));
	int count = 0;
	char *line = NULL;
	size_t room = 0;
	while (getline(&line, &room, file) > 0) {
		line[strcspn(line, "\n")] = 0;
		if (!*line) continue;
		if (count == MAX_COMMANDS) fail(path, "too many commands");
		int arguments = 0;
		/* The words stay where they are: the line is not freed. */
		for (char *rest = line, *word; (word = strsep(&rest, "\t"));) {
			if (arguments == MAX_ARGUMENTS) fail(line, "too many arguments");
			commands[count][arguments++] = word;
		}
		count++;
		line = NULL;
		room = 0;
	}
	fclose(file);
	if (!count) fail(path, "no commands");
	return count;
}

static double microseconds(struct timeval time) { return time.tv_sec * 1e6 + time.tv_usec; }

static void run(int command, int round) {
	char **argv = commands[command];
	struct timespec start, end;
	struct rusage usage;
	pid_t pid;
	int status;
	clock_gettime(CLOCK_MONOTONIC, &start);
	int error = posix_spawn(&pid, argv[0], &quiet, NULL, argv, environ);
	if (error) fail(argv[0], strerror(error));
	if (wait4(pid, &status, 0, &usage) != pid) fail(argv[0], strerror(errno));
	clock_gettime(CLOCK_MONOTONIC, &end);
	if (status) fail(argv[0], "it failed");
	if (round < 0) return;
	elapsed[command][round] = (end.tv_sec - start.tv_sec) * 1e6 + (end.tv_nsec - start.tv_nsec) / 1e3;
	processor[command][round] = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
}

int main(int argc, char **argv) {
	int rounds = argc == 3 ? atoi(argv[1]) : 0;
	if (rounds < 1) {
		fputs("usage: spawn ROUNDS FILE\n", stderr);
		return 2;
	}
	int count = read_commands(argv[2]);
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
	int order[MAX_COMMANDS];
	for (int command = 0; command < count; command++) {
		elapsed[command] = calloc(rounds, sizeof(double));
		processor[command] = calloc(rounds, sizeof(double));
		if (!elapsed[command] || !processor[command]) fail("memory", strerror(errno));
		order[command] = command;
	}
	/* The same orders at each run. The first rounds warm up and do not count. */
	srandom(1);
	int warm_up = rounds < 100 ? 1 : 20;
	for (int round = -warm_up; round < rounds; round++) {
		for (int last = count - 1; last > 0; last--) {
			int other = (int)(random() % (last + 1)), moved = order[last];
			order[last] = order[other];
			order[other] = moved;
		}
		for (int at = 0; at < count; at++) run(order[at], round);
	}
	for (int command = 0; command < count; command++) {
		qsort(elapsed[command], rounds, sizeof(double), ascending);
		qsort(processor[command], rounds, sizeof(double), ascending);
		printf("%.1f\t%.1f\t%.1f\t%.1f\n", quantile(elapsed[command], rounds, .5), quantile(elapsed[command], rounds, .1),
		       quantile(elapsed[command], rounds, .9), quantile(processor[command], rounds, .5));
	}
	return 0;
}
