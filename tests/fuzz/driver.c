/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzzer without libFuzzer, so that `make check` does it with any compiler.
 *
 *   fuzz_NAME FILE...     runs these inputs
 *   fuzz_NAME [-runs=N]   runs the seeds in $top_srcdir/tests/fuzz/corpus/NAME/ and N (20000)
 *                         mutations of them, the same ones every time
 *
 * Each input lies in a block of its own size, so that AddressSanitizer sees the first byte read
 * behind it. An input that crashes, or takes longer than 10 s, is left in fuzz_NAME.crash.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEEDS_MAX    512
#define INPUT_MAX    (1u << 17)
#define GROWTH_MAX   64u
#define HANG_SECONDS 10u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* called by a sanitizer before it ends the process; absent without one
 * NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the sanitizer's name */
extern void __sanitizer_set_death_callback(void (*fn)(void)) __attribute__((weak));

struct input {
	uint8_t *data;
	size_t size;
};

static struct input seeds[SEEDS_MAX];
static size_t n_seeds;
static uint64_t random_state = 0x4c616e65776179;
static char crash_path[256];
static const uint8_t *volatile running;
static volatile size_t running_size;

static void keep_input(void)
{
	int fd;

	if (running == NULL)
		return;
	fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return;
	if (write(fd, running, running_size) == (ssize_t)running_size)
		(void)!write(STDERR_FILENO, "input kept in ", 14);
	(void)!write(STDERR_FILENO, crash_path, strlen(crash_path));
	(void)!write(STDERR_FILENO, "\n", 1);
	close(fd);
	running = NULL;
}

static void on_signal(int number)
{
	keep_input();
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

static void catch_crashes(void)
{
	static const int numbers[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM };
	struct sigaction sa = { .sa_handler = on_signal };

	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(keep_input);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		(void)sigaction(numbers[i], &sa, NULL);
}

static void *allocate(size_t size)
{
	void *p = malloc(size > 0 ? size : 1);

	if (p == NULL) {
		(void)fprintf(stderr, "fuzz driver: out of memory\n");
		exit(1);
	}
	return p;
}

static void run_input(const uint8_t *data, size_t size)
{
	uint8_t *copy = allocate(size);

	if (size > 0)
		memcpy(copy, data, size);
	running_size = size;
	running = copy;
	(void)alarm(HANG_SECONDS);
	(void)LLVMFuzzerTestOneInput(copy, size);
	(void)alarm(0);
	running = NULL;
	free(copy);
}

static struct input load_file(const char *path)
{
	struct input in = { .data = allocate(INPUT_MAX) };
	FILE *f = fopen(path, "rb");

	if (f == NULL) {
		(void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	in.size = fread(in.data, 1, INPUT_MAX, f);
	(void)fclose(f);
	return in;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void load_seeds(const char *dir)
{
	struct dirent **entries;
	int n = scandir(dir, &entries, NULL, compare_names);
	char path[4096];

	for (int i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.' && n_seeds < SEEDS_MAX)
			seeds[n_seeds++] = load_file(path);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	if (n_seeds == 0) {
		(void)fprintf(stderr, "%s: no seeds\n", dir);
		exit(1);
	}
}

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static size_t below(size_t n)
{
	return n > 0 ? (size_t)(next_random() % n) : 0;
}

static void insert_bytes(struct input *in, size_t at, const uint8_t *src, size_t n)
{
	if (n > INPUT_MAX - in->size)
		n = INPUT_MAX - in->size;
	memmove(in->data + at + n, in->data + at, in->size - at);
	memcpy(in->data + at, src, n);
	in->size += n;
}

static void delete_bytes(struct input *in, size_t at, size_t n)
{
	if (n > in->size - at)
		n = in->size - at;
	memmove(in->data + at, in->data + at + n, in->size - at - n);
	in->size -= n;
}

static void set_word(struct input *in, size_t at)
{
	static const uint16_t words[] = { 0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff };
	uint16_t word = words[below(sizeof(words) / sizeof(words[0]))];

	if (in->size - at < 2)
		return;
	in->data[at] = (uint8_t)(word >> 8);
	in->data[at + 1] = (uint8_t)word;
}

static void mutate_once(struct input *in)
{
	static const uint8_t bytes[] = { 0, 1, 0x0a, 0x1f, 0x20, 0x7f, 0x80, 0xc3, 0xfe, 0xff };
	const struct input *other = &seeds[below(n_seeds)];
	size_t at = below(in->size);
	size_t from = below(other->size);
	uint8_t noise[GROWTH_MAX];
	size_t n = below(GROWTH_MAX) + 1;

	for (size_t i = 0; i < n; i++)
		noise[i] = (uint8_t)next_random();
	switch (in->size > 0 ? below(8) : 0) {
	case 0:
		insert_bytes(in, at, noise, n);
		break;
	case 1:
		delete_bytes(in, at, n);
		break;
	case 2:
		in->size = at;
		break;
	case 3:
		in->data[at] ^= (uint8_t)(1u << below(8));
		break;
	case 4:
		in->data[at] = noise[0];
		break;
	case 5:
		in->data[at] = bytes[below(sizeof(bytes))];
		break;
	case 6:
		set_word(in, at);
		break;
	default:
		if (other->size > 0)
			insert_bytes(in, at, other->data + from, other->size - from);
		break;
	}
}

static void run_mutations(unsigned long runs)
{
	struct input in = { .data = allocate(INPUT_MAX) };

	for (unsigned long i = 0; i < runs; i++) {
		const struct input *seed = &seeds[below(n_seeds)];

		memcpy(in.data, seed->data, seed->size);
		in.size = seed->size;
		for (size_t n = below(4) + 1; n > 0; n--)
			mutate_once(&in);
		run_input(in.data, in.size);
	}
	free(in.data);
}

/* the fuzzer's name: that of the program, without what libtool may have put in front */
static const char *fuzzer_name(const char *argv0)
{
	const char *slash = strrchr(argv0, '/');
	const char *name = slash != NULL ? slash + 1 : argv0;

	if (strncmp(name, "lt-", 3) == 0)
		name += 3;
	return strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name;
}

static void run_corpus(const char *name, unsigned long runs)
{
	const char *top = getenv("top_srcdir");
	char dir[2048];

	(void)snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s", top != NULL ? top : ".", name);
	load_seeds(dir);
	for (size_t i = 0; i < n_seeds; i++)
		run_input(seeds[i].data, seeds[i].size);
	run_mutations(runs);
	printf("%s: %zu seeds, %lu mutations\n", name, n_seeds, runs);
	for (size_t i = 0; i < n_seeds; i++)
		free(seeds[i].data);
}

int main(int argc, char **argv)
{
	unsigned long runs = 20000;
	int files = 0;

	(void)snprintf(crash_path, sizeof(crash_path), "fuzz_%s.crash", fuzzer_name(argv[0]));
	catch_crashes();
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-runs=", 6) == 0) {
			runs = strtoul(argv[i] + 6, NULL, 10);
		} else {
			struct input in = load_file(argv[i]);

			run_input(in.data, in.size);
			free(in.data);
			files++;
		}
	}
	if (files == 0)
		run_corpus(fuzzer_name(argv[0]), runs);
	return 0;
}
