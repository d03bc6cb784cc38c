#!/bin/sh
# start.sh FOLDER CLONE PYTHON PACKAGES PROXY PORT HUBS PROXYS: a hub with local users of its own.
# Runs in a mount namespace of its own (unshare -m), where the machine's users are copies.
set -eu
folder=$1 clone=$2 python=$3 packages=$4 proxy=$5 port=$6 hubs=$7 proxys=$8
mount --make-rprivate /
mkdir -p "$folder/etc" "$folder/home" "$folder/srv/gqa/exchange"
chmod 755 "$folder/home" "$folder/srv" "$folder/srv/gqa"
for file in passwd group shadow; do cp -p "/etc/$file" "$folder/etc/$file"; done
word=$(openssl passwd -6 secret)
uid=63000
echo "students:x:63100:" >>"$folder/etc/group"
echo "teachers:x:63101:" >>"$folder/etc/group"
for name in teacher ada ben; do
    group=63100
    [ "$name" = teacher ] && group=63101
    echo "$name:x:$uid:$group::/home/$name:/bin/sh" >>"$folder/etc/passwd"
    echo "$name:$word:20000:0:99999:7:::" >>"$folder/etc/shadow"
    install -d -o $uid -g $group -m 700 "$folder/home/$name"
    uid=$((uid + 1))
done
for file in passwd group shadow; do mount --bind "$folder/etc/$file" "/etc/$file"; done
mount --bind "$folder/home" /home
mount --bind "$folder/srv" /srv

base=$("$python" -c 'import sys; print(sys.base_prefix)')
case $base in
/root/*) # which is closed to others
    mkdir "$folder/python"
    mount --bind "$base" "$folder/python"
    mount -t tmpfs -o mode=755 tmpfs /root
    mkdir -p "$base"
    mount --bind "$folder/python" "$base"
    ;;
esac

mkdir /srv/gqa/clone
chown 63000:63101 /srv/gqa /srv/gqa/exchange /srv/gqa/clone
install -d -o 63000 -m 700 /srv/gqa/records
(cd "$clone" && tar -c --exclude=.git --exclude=.venv --exclude=build --exclude=work --exclude=__pycache__ .) |
    tar -x -C /srv/gqa/clone --no-same-owner
chown -R 63000:63101 /srv/gqa/clone
chmod 700 /srv/gqa/clone
as_teacher() {
    runuser -u teacher -- env PYTHONPATH=/srv/gqa/clone HOME=/home/teacher \
        GQA_HOME=/srv/gqa/records GQA_EXCHANGE=/srv/gqa/exchange "$python" -P -m gqa_lib.cli "$@"
}
cd /srv/gqa/clone
as_teacher release 04
as_teacher release --students /srv/gqa/course
for copy in course clone; do # what pip would make
    mkdir -p /srv/gqa/$copy/.venv/bin
    for name in gqa-singleuser:grading.learner.singleuser gqa:gqa_lib.cli; do
        cat >"/srv/gqa/$copy/.venv/bin/${name%%:*}" <<END
#!/bin/sh
export PYTHONPATH=/srv/gqa/$copy:$packages
exec "$python" -P -m ${name#*:} "\$@"
END
        chmod 755 "/srv/gqa/$copy/.venv/bin/${name%%:*}"
    done
done
mkdir -p "$folder/hub"
cd "$folder/hub"
cat >config.py <<END
exec(open("/srv/gqa/clone/deploy/jupyterhub_config.py").read())
c.JupyterHub.bind_url = "http://127.0.0.1:$port"
c.JupyterHub.hub_port = $hubs
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:$proxys"
c.ConfigurableHTTPProxy.command = ["$proxy"]
c.JupyterHub.db_url = "sqlite:///$folder/hub/hub.sqlite"
c.JupyterHub.cookie_secret_file = "$folder/hub/cookie"
END
PYTHONPATH=$packages exec "$python" -P -m jupyterhub -f config.py
