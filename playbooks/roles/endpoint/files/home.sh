# Makes the ordinary user, and a home in which somebody has worked: tests look for what people leave there.
set -eu
user=$1
id "$user" >/dev/null 2>&1 || useradd --uid 1000 --create-home --shell /bin/bash "$user"
for home in /root "/home/$user"; do
    install -d -m 0700 "$home/.ssh"
    cat >"$home/.bash_history" <<'END'
cd /srv/orders
ls -la
ssh -p 2222 backup@store.internal
mysql -u orders -p'Lantern-Quay-12' orders
export EXPORT_PASS=harbour-553
scp report.csv maria@bastion:
END
    cp "$home/.bash_history" "$home/.history"
    echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGRvZXMtbm90LW9wZW4tYW55dGhpbmctYXQtYWxsLTEy admin@desk' \
        >"$home/.ssh/authorized_keys"
    chmod 0600 "$home/.bash_history" "$home/.history" "$home/.ssh/authorized_keys"
    install -d "$home/documents"
    echo 'stock count on Thursday, bring the list' >"$home/documents/notes.txt"
    echo 'first quarter sent, second quarter waiting' >"$home/documents/taxes.pdf"
done
chown -R "$user:$user" "/home/$user"
! command -v updatedb >/dev/null || updatedb # what `locate` looks into
