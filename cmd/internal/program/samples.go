package program

import (
	"context"
	"time"

	"lumen/store"
	"lumen/store/owner"
)

// sample is a customer of each demo merchant. Ages are in days before now.
type sample struct {
	email, name, userID      string
	line1, line2, city, post string
	country, taxID           string
	age, changed             int
	shared, deleted          bool
}

// samples are like real data: a year of dates, several scripts, missing names and addresses, one
// deleted customer, and two customers with the same email address.
var samples = []sample{
	{
		email: "Ada.Lovelace@example.com", name: "Ada Lovelace", userID: "user_1001",
		line1: "12 St James's Square", city: "London", post: "SW1Y 4JH", country: "GB",
		taxID: "GB123456789", age: 364, changed: 12,
	},
	{
		email: "grace@example.org", name: "Grace Hopper", userID: "user_1002",
		line1: "1 Navy Yard", line2: "Building 200", city: "Washington", post: "20374",
		country: "US", age: 350, changed: 350,
	},
	{
		email: "李.明@例子.example", name: "李明", userID: "user_1003", line1: "南京路 88 号", city: "上海",
		post: "200001", country: "CN", age: 338, changed: 200,
	},
	{
		email: "fatima.zahra@example.com", name: "فاطمة الزهراء", userID: "user_1004",
		line1: "شارع محمد الخامس 7", city: "الرباط", post: "10000", country: "MA", age: 325,
		changed: 325,
	},
	{
		email: "jurgen.gross@straße.example", name: "Jürgen Groß", userID: "user_1005",
		line1: "Hauptstraße 5", city: "München", post: "80331", country: "DE",
		taxID: "DE987654321", age: 312, changed: 40,
	},
	{email: "no.name.1@example.net", userID: "user_1006", age: 300, changed: 300},
	{
		email: "sato.hanako@example.jp", name: "佐藤 花子", userID: "user_1007", line1: "千代田1-1",
		city: "東京", post: "100-0001", country: "JP", age: 290, changed: 121,
	},
	{
		email: "billing@acme.example", name: "Acme Corporation", userID: "user_1008",
		line1: "1 Road Runner Way", city: "Tucson", post: "85701", country: "US",
		taxID: "12-3456789", age: 281, changed: 281,
	},
	{
		email: "billing@acme.example", name: "Acme Europe", userID: "user_1009",
		line1: "Kalverstraat 1", city: "Amsterdam", post: "1012 NX", country: "NL",
		taxID: "NL123456789B01", age: 280, changed: 90, shared: true,
	},
	{
		email: "olga.ivanova@example.com", name: "Ольга Иванова", userID: "user_1010",
		line1: "Тверская ул., 10", city: "Москва", post: "125009", country: "RU", age: 262,
		changed: 262,
	},
	{
		email: "priya@example.in", name: "प्रिया शर्मा", userID: "user_1011", line1: "14 MG Road",
		city: "Bengaluru", post: "560001", country: "IN", age: 247, changed: 30,
	},
	{
		email: "left.us@example.com", name: "Former Customer", userID: "user_1012", city: "Oslo",
		country: "NO", age: 240, changed: 61, deleted: true,
	},
	{
		email: "o'connor+news@example.ie", name: "Siobhán O'Connor", userID: "user_1013",
		line1: "3 Grafton Street", city: "Dublin", post: "D02 HH28", country: "IE", age: 221,
		changed: 221,
	},
	{
		email: "maria.jose@example.com.br", name: "Maria José da Silva", userID: "user_1014",
		line1: "Av. Paulista, 1578", city: "São Paulo", post: "01310-200", country: "BR",
		taxID: "123.456.789-09", age: 203, changed: 15,
	},
	{
		email: "kim.minjun@example.kr", name: "김민준", userID: "user_1015", line1: "세종대로 110",
		city: "서울", post: "04524", country: "KR", age: 190, changed: 190,
	},
	{
		email: "nikos@example.gr", name: "Νίκος Παπαδόπουλος", userID: "user_1016",
		line1: "Ερμού 21", city: "Αθήνα", post: "105 63", country: "GR", age: 171, changed: 170,
	},
	{
		email: "no.name.2@example.net", line1: "PO Box 42", city: "Wellington", country: "NZ",
		age: 155, changed: 155,
	},
	{
		email: "yael@example.co.il", name: "יעל כהן", userID: "user_1018", city: "תל אביב",
		country: "IL", age: 140, changed: 7,
	},
	{
		email: "zoe@example.fr", name: "Zoé Lefèvre", userID: "user_1019",
		line1: "8 rue de la Paix", city: "Paris", post: "75002", country: "FR",
		taxID: "FR12345678901", age: 122, changed: 122,
	},
	{
		email: "chidi@example.ng", name: "Chidi Okonkwo", userID: "user_1020",
		line1: "22 Broad Street", city: "Lagos", post: "101001", country: "NG", age: 101,
		changed: 100,
	},
	{
		email: "aysegul@example.com.tr", name: "Ayşegül İnan", userID: "user_1021",
		line1: "İstiklal Cd. 5", city: "İstanbul", post: "34433", country: "TR", age: 84,
		changed: 84,
	},
	{
		email: "soren@example.dk", name: "Søren Ågård", userID: "user_1022", city: "København",
		post: "1050", country: "DK", age: 63, changed: 60,
	},
	{
		email: "somchai@example.th", name: "สมชาย ใจดี", userID: "user_1023", city: "กรุงเทพฯ",
		country: "TH", age: 47, changed: 47,
	},
	{
		email: "carmen@example.es", name: "Carmen Núñez", userID: "user_1024",
		line1: "Gran Vía 28", city: "Madrid", post: "28013", country: "ES", age: 31, changed: 3,
	},
	{email: "trial@example.com", age: 19, changed: 19},
	{
		email: "wanjiku@example.ke", name: "Wanjikũ Kamau", userID: "user_1026", city: "Nairobi",
		country: "KE", age: 9, changed: 8,
	},
	{
		email: "newest@example.com", name: "Newest Customer", userID: "user_1027", country: "CA",
		age: 1, changed: 0,
	},
}

// seed creates the samples through the store, as customers of the merchant in ctx, and then
// backdates them.
func seed(ctx context.Context, operator *owner.Owner, customers *store.Customers) error {
	now := time.Now().Truncate(time.Millisecond)
	for i, s := range samples {
		customer, err := customers.Create(ctx, store.Input{
			"email": s.email, "name": s.name, "userId": s.userID,
			"billingAddressLine1": s.line1, "billingAddressLine2": s.line2, "billingCity": s.city,
			"billingPostalCode": s.post, "billingCountry": s.country, "taxId": s.taxID,
			store.DangerousFlag: s.shared,
		}, store.WriteOptions{})
		if err != nil {
			return err
		}
		if s.deleted {
			if customer, err = customers.Delete(ctx, customer.ID, store.WriteOptions{}); err != nil {
				return err
			}
		}
		days := func(n int) time.Time { return now.AddDate(0, 0, -n).Add(-time.Duration(i*37) * time.Minute) }
		if err := operator.Backdate(ctx, customer, days(s.age), days(s.changed)); err != nil {
			return err
		}
	}
	return nil
}
