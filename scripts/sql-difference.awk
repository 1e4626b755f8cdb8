# Compares two install scripts and prints the statements that make the second out of the first: what is new, and what changed
# as CREATE OR REPLACE. It fails for what it cannot make, such as a changed table. The first file is the part that is written
# by hand; each of its lines "-- covers: KEY" names a statement that it takes care of. DO, SET, INSERT and DELETE are not compared.
#   awk -f scripts/sql-difference.awk part=1 BY-HAND part=2 OLD part=3 NEW

# the text from the name to the closing parenthesis
function signature(text, start,    i, depth, c) {
    for (i = start; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c == "(") depth++
        if (c == ")" && --depth == 0) return substr(text, start, i - start + 1)
    }
    return substr(text, start)
}

# what a statement makes, such as "TABLE @extschema@.name"; empty if only an install runs it
function key_of(text,    flat, words) {
    flat = text
    gsub(/[ \n\t]+/, " ", flat)
    split(flat, words, " ")
    if (flat ~ /^CREATE (FUNCTION|PROCEDURE) /) return words[2] " " signature(flat, length("CREATE " words[2]) + 2)
    if (flat ~ /^CREATE UNIQUE INDEX /) return "INDEX " words[4]
    if (flat ~ /^CREATE (CONSTRAINT )?TRIGGER /) {
        sub(/^CREATE (CONSTRAINT )?/, "", flat)
        split(flat, words, " ")
        sub(/^.* ON /, "", flat)
        return "TRIGGER " words[2] " ON " substr(flat, 1, index(flat " ", " ") - 1)
    }
    if (words[1] == "CREATE") { sub(/[(;].*/, "", words[3]); return words[2] " " words[3] }
    if (words[1] == "COMMENT") return substr(flat, 1, index(flat, " IS ") - 1)
    if (words[1] == "ALTER" || flat ~ /^SELECT pg_extension_config_dump\(/) return flat
    if (words[1] == "DO" || words[1] == "SET" || words[1] == "INSERT" || words[1] == "DELETE") return ""
    print "sql-difference.awk: unknown statement: " substr(flat, 1, 100) >"/dev/stderr"
    failed = 1
    return ""
}

# a table is the same if only its comments and spaces differ
function shape(key, text) {
    if (key !~ /^(FUNCTION|PROCEDURE) /) {
        gsub(/(^|\n) *--[^\n]*/, "", text)
        gsub(/[ \n\t]+/, " ", text)
    }
    return text
}

function ends(line,    parts, i, n, code) {
    if (body != "") return line == body
    if (text ~ /^(CREATE (FUNCTION|PROCEDURE)|DO) ?/) {
        if (line ~ /\$\$$/) { body = "$$;"; return 0 }
        if (line ~ /^BEGIN ATOMIC$/) { body = "END;"; return 0 }
    }
    if (line ~ /^ *--/) return 0
    n = split(line, parts, "'")
    for (i = 1; i <= n; i++) {
        if (i > 1) quoted = !quoted
        if (!quoted && index(parts[i], "--")) { code = substr(parts[i], 1, index(parts[i], "--") - 1); break }
        code = parts[i]
    }
    return !quoted && code ~ /; *$/
}

part == 1 { if (sub(/^-- covers: /, "")) covered[$0]; next }
text == "" && /^($|--|\\)/ { next }
{
    text = text == "" ? $0 : text "\n" $0
    if (!ends($0)) next
    key = key_of(text)
    if (key != "") {
        if (part == 2) old[key] = text
        else { new[key] = text; order[++count] = key }
    }
    text = body = ""
    quoted = 0
}
END {
    for (i = 1; i <= count; i++) {
        key = order[i]
        if (key in covered) continue
        statement = new[key]
        if (key in old) {
            if (shape(key, old[key]) == shape(key, statement)) continue
            if (key ~ /^(FUNCTION|PROCEDURE|VIEW|TRIGGER) /) sub(/^CREATE /, "CREATE OR REPLACE ", statement)
            else if (key !~ /^COMMENT /) {
                print "sql-difference.awk: changed, so write an ALTER by hand, and \"-- covers: " key "\"" >"/dev/stderr"
                failed = 1
            }
        }
        print statement
    }
    for (key in old) {
        if (key !~ /^(COMMENT|ALTER|SELECT) / && !(key in new) && !(key in covered)) {
            print "sql-difference.awk: gone, so write a DROP by hand, and \"-- covers: " key "\"" >"/dev/stderr"
            failed = 1
        }
    }
    for (key in covered) {
        if (!(key in new) && !(key in old)) {
            print "sql-difference.awk: nothing to cover: " key >"/dev/stderr"
            failed = 1
        }
    }
    if (text != "") { print "sql-difference.awk: a statement without an end: " substr(text, 1, 100) >"/dev/stderr"; failed = 1 }
    exit failed
}
