# Untested: see packaging/README.md.
{ stdenv, lib, pkg-config, fuse3, libzip, jansson, zlib, libdeflate, libseccomp, uthash, python3 }:
stdenv.mkDerivation rec {
  pname = "ckptfs";
  version = "0.2.0";
  src = ./.. + "/build-dist/ckptfs-${version}.tar.gz";
  nativeBuildInputs = [ pkg-config python3 ];
  buildInputs = [ fuse3 libzip jansson zlib libdeflate libseccomp uthash ];
  enableParallelBuilding = true;
  makeFlags = [ "PREFIX=$(out)" "WITH_LIB=1" ];
  meta = {
    description = "Mount a nanochat checkpoint store as a filesystem";
    license = lib.licenses.mit;
    platforms = lib.platforms.linux;
    mainProgram = "ckptfs";
  };
}
