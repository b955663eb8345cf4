#!/bin/bash
# plot_history.sh MOUNT [DIRECTORY]: how the runs of a store went. One picture per source, DIRECTORY/base.png and so on (default: here): the loss
# of each tag's steps over the tokens that it had seen, from TAG/history.tsv, with the best step marked. MOUNT is a store or one source of it.
# Needs gnuplot (Debian: gnuplot-nox). val_bpb where any tag of the source has it, else val_loss; steps where a tag's metadata has no tokens.
set -euo pipefail
mount=${1:?usage: plot_history.sh MOUNT [DIRECTORY]} to=${2:-.}
[[ -d $mount ]] || { echo "plot_history.sh: no directory $mount" >&2; exit 1; }
command -v gnuplot >/dev/null || { echo 'plot_history.sh: no gnuplot: apt-get install gnuplot-nox' >&2; exit 1; }
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT

# points TABLE COLUMN X STEP - "x loss step" of each step with a finite number in COLUMN, or of STEP alone where it isn't empty.
points() {
	awk -F'\t' -v column="$2" -v x="$3" -v only="$4" '
		NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
		only != "" && $1 + 0 != only + 0 { next }
		$at[column] ~ /^-?[0-9]/ && $at[x] ~ /^-?[0-9]/ { print $at[x], $at[column], $1 }' "$1"
}

# plot SOURCE NAME - NAME.png, if any step of the source has a loss.
plot() {
	local name=$2 column=val_bpb x=tokens lines='' marks='' n=0 table tag title
	local -a tables=()
	# Not those of largest, which is a link.
	for table in "$1"/*/history.tsv; do
		[[ -L ${table%/history.tsv} ]] || tables+=("$table")
	done
	[[ ${#tables[@]} -gt 0 ]] || return 0
	for table in "${tables[@]}"; do points "$table" val_bpb step ''; done >"$data/any"
	[[ -s $data/any ]] || column=val_loss
	for table in "${tables[@]}"; do points "$table" "$column" tokens ''; done >"$data/any"
	[[ -s $data/any ]] || x=step
	for table in "${tables[@]}"; do
		tag=${table%/history.tsv} n=$((n + 1))
		points "$table" "$column" "$x" '' >"$data/$n"
		[[ -s $data/$n ]] || continue
		title=${tag##*/} title=${title//[\"\\]/?}
		lines+=", '$data/$n' using 1:2 with linespoints pt 7 ps 0.4 lw 1.5 lc $n title \"$title\""
		[[ -L $tag/best ]] || continue
		points "$table" "$column" "$x" "$(readlink "$tag/best")" >"$data/$n.best"
		[[ ! -s $data/$n.best ]] || marks+=", '$data/$n.best' using 1:2:3 with labels point pt 6 ps 1.6 lw 1.5 lc $n offset 0,-1 notitle"
	done
	[[ -n $lines ]] || return 0
	lines=${lines#, }
	gnuplot <<-END
		set terminal pngcairo size 960,540 font 'sans,11' noenhanced
		set output '$to/$name.png'
		set title '$name: $column of each step; the best ones are circled, by their step'
		set xlabel '$x'
		set ylabel '$column'
		set format x '%.0s%c'
		set xrange [0:*]
		set grid
		set offsets 0, graph 0.04, graph 0.04, graph 0.06
		plot $lines$marks
	END
	echo "$to/$name.png"
}

mkdir -p "$to"
to=$(cd "$to" && pwd)
[[ $to != *[\'\"\\]* ]] || { echo "plot_history.sh: no quotes in the name of $to, please" >&2; exit 1; }
shopt -s nullglob
plot "$mount" "$(basename "$(cd "$mount" && pwd)")"
for source in "$mount"/{base,mid,sft,rl}; do
	[[ ! -d $source ]] || plot "$source" "${source##*/}"
done
