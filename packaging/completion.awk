# completion.awk - makes the completion of one shell from the options' table (fs/options.c) and what --help says of each (fs/help.c).
# Usage: awk -v shell=bash|zsh|fish -f packaging/completion.awk fs/options.c fs/help.c
# An option of the table that --help doesn't have is an error: so neither can be forgotten.

function fail(text) { print "completion.awk: " text >"/dev/stderr"; bad = 1; exit 1 }

# The string literal at the start of TEXT's first quote.
function literal(text) { sub(/^[^"]*"/, "", text); sub(/".*/, "", text); return text }

FILENAME ~ /options\.c$/ {
	if ($0 ~ /^\tOPT\("/) {
		name = literal($0)
		sub(/%s$/, "", name)
		names[++count] = name
	}
	if ($0 ~ /foreign\[\] = \{/) in_foreign = 1
	else if ($0 ~ /^\};/) in_foreign = 0
	else if (in_foreign) {
		line = $0
		while (match(line, /"[^"]*"/)) {
			foreign[++foreigners] = substr(line, RSTART + 1, RLENGTH - 2)
			line = substr(line, RSTART + RLENGTH)
		}
	}
}

# "  -o name=a|b  text", "  -h, --help  text", "  --check ...  text" in the words of --help.
FILENAME ~ /help\.c$/ && /^[ \t]*(fputs\()?"  -/ {
	line = literal($0)
	gsub(/\\n$/, "", line)
	sub(/^ +/, "", line)
	words = line; sub(/  .*/, "", words)
	# A value and its text may have one blank between them, where the value is long.
	if (words ~ /^-o [^ ]+ /) { split(words, part, " "); words = part[1] " " part[2] }
	text = substr(line, length(words) + 1); sub(/^ +/, "", text)
	if (words ~ /^-o /) {
		word = substr(words, 4); sub(/[, ].*/, "", word)
		value = ""
		if (index(word, "=")) { value = word; sub(/^[^=]*=/, "", value); sub(/=.*/, "=", word) }
		help[word] = text; values[word] = value
	} else {
		n = split(words, part, /, /)
		for (i = 1; i <= n; i++) { word = part[i]; sub(/[ =].*/, "", word); help[word] = text }
	}
}

# In single quotes of each shell.
function quoted(text) { gsub(/'/, "’", text); sub(/^[.][.][.] +/, "", text); return text }
function zsh_text(text) { text = quoted(text); gsub(/\[/, "(", text); gsub(/]/, ")", text); gsub(/:/, "\\:", text); return text }

function is_list(value) { return index(value, "|") > 0 }

END {
	if (bad) exit 1
	if (count < 10 || foreigners < 10) fail("the table was not found")
	for (i = 1; i <= count; i++) {
		name = names[i]
		if (name == "debug") continue
		if (!(name in help)) fail("--help lacks " name)
		if (name ~ /^-/) flags[++flag_count] = name
		else { own[++own_count] = name; if (values[name] && !is_list(values[name])) values[name] = "" }
	}
	for (i = 1; i <= foreigners; i++)
		if (!(foreign[i] in help)) own[++own_count] = foreign[i]
	if (shell == "bash") bash(); else if (shell == "zsh") zsh(); else if (shell == "fish") fish(); else fail("which shell?")
}

function bash(   i, list, cases, value) {
	for (i = 1; i <= own_count; i++) {
		list = list " " own[i]
		if (values[own[i]]) {
			value = values[own[i]]; gsub(/\|/, " ", value)
			cases = cases "\t\t" own[i] "*) words=\"" value "\" head=" own[i] " ;;\n"
		}
	}
	print "# Completion of ckptfs(1) for bash. Made from the options' table."
	print "_ckptfs()\n{"
	print "\tlocal line=${COMP_LINE:0:COMP_POINT} cur option before='' head='' words shown"
	print "\tcur=${line##*[[:space:]]}"
	print "\toption=${line%\"$cur\"}; option=${option%\"${option##*[![:space:]]}\"}; option=${option##*[[:space:]]}"
	print "\tCOMPREPLY=()"
	print "\tif [[ $cur == -o?* ]]; then before=-o; cur=${cur#-o}; option=-o; fi"
	print "\tif [[ $option == -o ]]; then"
	print "\t\tif [[ $cur == *,* ]]; then before+=${cur%,*},; cur=${cur##*,}; fi"
	print "\t\tcase $cur in"
	printf "%s", cases
	print "\t\t*=*) return ;;"
	print "\t\t*) words=\"" substr(list, 2) "\" ;;"
	print "\t\tesac"
	print "\t\tcompopt -o nospace 2>/dev/null"
	print "\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -P \"$before$head\" -- \"${cur#\"$head\"}\")"
	print "\t\t# bash replaces only what stands behind the last '=' of the word."
	print "\t\tshown=$before$cur"
	print "\t\t[[ $COMP_WORDBREAKS != *=* || $shown != *=* ]] || COMPREPLY=(\"${COMPREPLY[@]#\"${shown%=*}=\"}\")"
	print "\telif [[ $cur == -* ]]; then"
	list = "-o"
	for (i = 1; i <= flag_count; i++) list = list " " flags[i]
	print "\t\tmapfile -t COMPREPLY < <(compgen -W \"" list "\" -- \"$cur\")"
	print "\telse"
	print "\t\tcompopt -o filenames 2>/dev/null"
	print "\t\tmapfile -t COMPREPLY < <(compgen -d -- \"$cur\")"
	print "\tfi"
	print "}"
	print "complete -F _ckptfs ckptfs"
}

function zsh(   i, n, part, j) {
	print "#compdef ckptfs\n# Completion of ckptfs(1) for zsh. Made from the options' table."
	print "local -a mount_options\nmount_options=("
	for (i = 1; i <= own_count; i++) {
		name = own[i]; sub(/=$/, "", name)
		text = zsh_text(help[own[i]] ? help[own[i]] : "an option of FUSE or mount(8)")
		if (values[own[i]]) {
			value = values[own[i]]; gsub(/\|/, " ", value)
			printf "\t'%s[%s]:%s:(%s)'\n", name, text, name, value
		} else if (own[i] ~ /=$/) printf "\t'%s[%s]:%s: '\n", name, text, name
		else printf "\t'%s[%s]'\n", name, text
	}
	print ")\n_arguments -S \\\n\t'*-o[options, joined by commas]:option:_values -s , option $mount_options' \\"
	for (i = 1; i <= flag_count; i++) printf "\t'%s[%s]' \\\n", flags[i], zsh_text(help[flags[i]])
	print "\t'1:store or mountpoint:_files -/' \\\n\t'2:mountpoint:_files -/'"
}

function fish(   i, n, part, j) {
	print "# Completion of ckptfs(1) for fish. Made from the options' table."
	print "function __ckptfs_options\n\tset -l done (commandline -ct | string replace -r '^-o' '' | string replace -rf '(.*,).*' '$1')"
	print "\tprintf \"$done%s\\t%s\\n\" \\"
	for (i = 1; i <= own_count; i++) {
		text = quoted(help[own[i]] ? help[own[i]] : "an option of FUSE or mount(8)")
		n = split(values[own[i]] ? values[own[i]] : "", part, "|")
		if (!n) printf "\t\t'%s' '%s' \\\n", own[i], text
		for (j = 1; j <= n; j++) printf "\t\t'%s%s' '%s' \\\n", own[i], part[j], text
	}
	print "\t\t;\nend"
	print "complete -c ckptfs -f -a '(__fish_complete_directories)'"
	print "complete -c ckptfs -s o -x -d 'options, joined by commas' -a '(__ckptfs_options)'"
	for (i = 1; i <= flag_count; i++) {
		if (flags[i] ~ /^--/) printf "complete -c ckptfs -l %s -d '%s'\n", substr(flags[i], 3), quoted(help[flags[i]])
		else printf "complete -c ckptfs -s %s -d '%s'\n", substr(flags[i], 2), quoted(help[flags[i]])
	}
}
