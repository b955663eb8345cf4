/* What ckptfs --help says. Implements options_help() of options.h. */
#include "options.h"

#include <stdio.h>

void options_help(void)
{
	fputs("usage: ckptfs [-f] [-d] [-o OPTION[,OPTION...]] [STORE] MOUNTPOINT\n"
	      "Mounts a nanochat checkpoint store: each tensor is a file.\n"
	      "STORE is a nanochat base directory (default: $NANOCHAT_BASE_DIR, else\n"
	      "~/.cache/nanochat), a checkpoints directory, or one model tag's directory.\n"
	      "\n"
	      "  -f, -d          stay in the foreground, log to stderr; -d traces requests\n"
	      "  -h, --help, -V, --version   this text; versions of ckptfs and libfuse\n"
	      "  --status MOUNTPOINT, --json  what a mount is doing, as text or as JSON\n"
	      "  --check STORE[:STEP], --read-data, --finite, -v   what is wrong with the files\n"
	      "\n"
	      "  -o device=cpu|mps|cuda   show the model as nanochat loads it there (cpu)\n"
	      "  -o ro                    refuse writing\n"
	      "  -o native                list nanochat's own names too\n"
	      "  -o inplace               mount STORE over itself, native\n"
	      "  -o delete                let rm and mv take stored files away\n"
	      "  -o level=base|source|tag what STORE is, where detection is not enough\n"
	      "  -o sandbox=on|off|require   how far the daemon confines itself (on)\n"
	      "  -o follow                follow links out of the store with allow_other too\n"
	      "  -o ranks=N               show optimizers as N GPUs would have saved them\n"
	      "  -o tmp_max_size=SIZE     unpacked entries in $TMPDIR: 20g (half of the room)\n"
	      "  -o nonempty              mount over a directory that holds something\n"
	      "  -o auto_unmount          unmount also when the daemon is killed\n"
	      "  -o allow_other, ...      FUSE's own: see mount.fuse3(8)\n"
	      "Unmount with: fusermount3 -u MOUNTPOINT.  More: man ckptfs\n",
	      stdout);
}
